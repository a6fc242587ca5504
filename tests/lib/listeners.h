/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_LISTENERS_H
#define TESTS_LIB_LISTENERS_H

/* A server's listeners by the order of their places: who closes none has them as they came. */

#include <stdlib.h>

#include <volley/addr.h>
#include <volley/listener.h>

enum { LISTENERS_N_ROOM = 64 };

/* None, where there are not so many. */
static inline struct volley_listener listener_at(struct volley_server *server, uint32_t i)
{
	struct volley_listener all[LISTENERS_N_ROOM];
	int n = volley_server_get_listeners(server, all, LISTENERS_N_ROOM);

	return n > (int)i && i < LISTENERS_N_ROOM ? all[i] : (struct volley_listener){ .id = 0 };
}

static inline struct volley_addr listener_addr(struct volley_server *server, uint32_t i)
{
	struct volley_addr addr;

	if (volley_listener_get_addr(server, listener_at(server, i), &addr) < 0)
		abort();
	return addr;
}

/* The same as a pointer that lasts as long as the block it stands in. */
#define LISTENER_ADDR(server, i) ((const struct volley_addr[1]){ listener_addr((server), (i)) })

#endif
