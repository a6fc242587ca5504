/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_WAYS_H
#define TESTS_LIB_WAYS_H

/* Every way to wait, and then the two in which the loop is the caller's. */

#include <event2/event.h>

#include "lib/peer.h"

enum { N_ALL_WAYS = PEER_N_WAYS + 2 };

/* Of a config that has everything else. An event_base, if it takes one, is the caller's to free. */
static inline void set_way(struct volley_config *config, size_t way, struct event_base **ret_base)
{
	if (way < PEER_N_WAYS) {
		config->wait = peer_ways[way].wait;
		config->io = peer_ways[way].io;
		return;
	}
	config->n_workers = 1;
	if (way == PEER_N_WAYS) {
		config->wait = VOLLEY_WAIT_FD;
	} else {
		*ret_base = event_base_new();
		config->event_base = *ret_base;
	}
}

#endif
