/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_WORKER_OWN_LOOP_H
#define TESTS_UNIT_WORKER_OWN_LOOP_H

/* A server without a thread, whose loop is the test: VOLLEY_WAIT_FD. */

#include <criterion/criterion.h>
#include <poll.h>
#include <unistd.h>

#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"

static struct {
	struct volley_server *server;
	struct volley_addr to;
	int client;
	int result; /* what on_start says */
	int n_starts, n_stops, n_posts;
	int n_calls;
} t;

static inline int on_start(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	t.n_starts++;
	return t.result;
}

static inline void on_stop(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	t.n_stops++;
}

static inline void open_server(const struct volley_config *more, volley_batch_fn fn)
{
	struct volley_config config = *more;

	config.wait = VOLLEY_WAIT_FD;
	config.on_start = on_start;
	config.on_stop = on_stop;
	t.server = peer_server(&config, fn, NULL, &t.to);
	t.client = loopback_open("127.0.0.1:0", NULL);
}

static inline void close_server(void)
{
	cr_assert_null(ledger_find_server_fault(t.server));
	cr_assert_eq(volley_server_free(t.server), 0);
	cr_assert_eq(t.n_starts, t.n_stops);
	close(t.client);
}

/* Whether the descriptor is readable within this time. */
static inline bool wakes(int timeout_ms)
{
	struct pollfd fd = { .fd = volley_server_get_fd(t.server), .events = POLLIN };

	return poll(&fd, 1, timeout_ms) > 0;
}

static inline void expect_idle(void)
{
	cr_assert(!wakes(0), "there is nothing to do");
	cr_assert_eq(volley_server_get_timeout_ns(t.server), -1);
}

static inline void expect_echo(uint8_t tag)
{
	uint8_t buf[64];

	cr_assert_eq(loopback_recv(t.client, buf, sizeof buf, NULL), 16);
	cr_assert_eq(buf[0], tag);
}

#endif
