/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PATH_CREW_H
#define TESTS_UNIT_PATH_CREW_H

/* A server with handler threads: started, looked at, and stopped with all its buffers back. */

#include <criterion/criterion.h>
#include <sched.h>

#include "lib/gate.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "path/worker.h"
#include "server/state.h"

#define ADDRESS "127.0.0.1:0"

static struct volley_held held; /* what hold_one() has held last */

static inline struct volley_server *serve(const struct volley_config *config, volley_batch_fn fn,
					  struct volley_addr *ret_to)
{
	struct volley_server *server = peer_server(config, fn, NULL, ret_to);

	cr_assert_eq(volley_server_start(server), 0);
	return server;
}

static inline struct volley_stats get_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_null(ledger_find_fault(&stats), "%s", ledger_find_fault(&stats));
	return stats;
}

static inline void await_rx(struct volley_server *server, uint64_t n)
{
	while (get_stats(server).rx_datagrams < n)
		sched_yield();
}

static inline void finish(struct volley_server *server)
{
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(get_stats(server).rx_queued, 0);
	for (uint32_t i = 0; i < volley_server_get_n_workers(server); i++) {
		cr_assert_eq(vly_buffers_count_used(server->workers[i].crew.packets), 0,
			     "one leaked");
		cr_assert_eq(vly_buffers_count_used(server->workers[i].remote.buffers), 0);
	}
	cr_assert_eq(volley_server_free(server), 0);
}

static inline void hold_one(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_hold(&packets[0], &held), 0);
	sem_post(&gate.entered);
}

#endif
