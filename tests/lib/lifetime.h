/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_LIFETIME_H
#define TESTS_LIB_LIFETIME_H

/*
 * For Criterion tests of how a server begins and ends: descriptors that do not leak,
 *
 *	TestSuite(server, .init = count_fds, .fini = compare_fds);
 *
 * a server that serves, and workers that have left.
 */

#include <criterion/criterion.h>
#include <sched.h>
#include <unistd.h>

#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "lib/teardown.h"
#include "path/worker.h"
#include "server/state.h"

static int n_fds_before;

static inline void count_fds(void)
{
	n_fds_before = loopback_n_fds();
}

static inline void compare_fds(void)
{
	TEARDOWN_CHECK(loopback_n_fds() == n_fds_before);
}

/* One more listener, which echoes. Its index or -errno. */
static inline int listen_once(struct volley_server *server)
{
	return volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = peer_echo),
				    NULL);
}

/* The result of a start; after a good one listener 0 has echoed. */
static inline int start_and_ask(struct volley_server *server)
{
	int r = volley_server_start(server);

	if (r >= 0) {
		const struct volley_addr *to = LISTENER_ADDR(server, 0);
		int fd = loopback_open("127.0.0.1:0", NULL);

		cr_assert(peer_ask(fd, to, 7), "a started server replies");
		close(fd);
	}
	return r;
}

/* Workers that were asked to stop leave by themselves; nobody has joined them. */
static inline void wait_left(struct volley_server *server)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		while (vly_self_is_taken(&server->workers[i].self))
			sched_yield();
}

#endif
