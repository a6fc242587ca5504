/* SPDX-License-Identifier: MIT */

/*
 * A server that does not run says -ESHUTDOWN to each send, after it has stopped and when it is
 * closed: volley_worker_send() as volley_server_send(), in every wait strategy, and also where the
 * listener or the peer would be wrong. While it runs they say what is wrong.
 */

#include <errno.h>

#include <volley/send.h>

#include "bounds.h"
#include "lib/listeners.h"

static struct volley_worker *seen;

static int on_start(struct volley_worker *worker, void *arg)
{
	(void)arg;
	seen = worker;
	return 0;
}

/* Both ways to send: a good one, one by a listener that is gone, and one to a bad peer. */
static void check_sends(struct volley_server *server, const struct volley_addr *to, int good,
			int gone, int bad)
{
	struct volley_listener listener = listener_at(server, 0);
	struct volley_listener none = { .id = 0 };
	struct volley_addr other;

	CHECK(volley_addr_parse("[::1]:9", &other) == 0);
	CHECK_EQ(volley_server_send(server, listener, to, "s", 1, NULL), good);
	CHECK_EQ(volley_worker_send(seen, listener, to, "w", 1, NULL), good);
	CHECK_EQ(volley_server_send(server, none, to, "s", 1, NULL), gone);
	CHECK_EQ(volley_worker_send(seen, none, to, "w", 1, NULL), gone);
	CHECK_EQ(volley_server_send(server, listener, &other, "s", 1, NULL), bad);
	CHECK_EQ(volley_worker_send(seen, listener, &other, "w", 1, NULL), bad);
}

static void try_one(enum volley_wait wait, uint32_t n_handlers)
{
	const struct volley_config *config = VOLLEY_CONFIG(.n_workers = 1, .wait = wait,
							   .n_handlers = n_handlers,
							   .on_start = on_start);
	struct volley_server *server;
	struct volley_stats stats;
	struct volley_addr to;

	REQUIRE(volley_addr_parse("127.0.0.1:9", &to) == 0);
	REQUIRE(volley_server_new(config, &server) == 0);
	bounds_listen(server, VOLLEY_LISTEN(.on_packet = bounds_on_packet), 0);
	for (int i = 0; i < 2; i++) {
		REQUIRE(volley_server_start(server) == 0);
		check_sends(server, &to, 0, -ESTALE, -EINVAL);
		CHECK_EQ(volley_server_stop(server), 0);
		check_sends(server, &to, -ESHUTDOWN, -ESHUTDOWN, -ESHUTDOWN);
	}
	CHECK_EQ(volley_server_close(server), 0);
	check_sends(server, &to, -ESHUTDOWN, -ESHUTDOWN, -ESHUTDOWN);
	stats = bounds_stats(server);
	CHECK_EQ(stats.tx_requested, 4);
	volley_server_free(server);
}

int main(void)
{
	promise_begin(10);
	try_one(VOLLEY_WAIT_EVENT, 0);
	try_one(VOLLEY_WAIT_BLOCK, 0);
	try_one(VOLLEY_WAIT_SPIN, 0);
	try_one(VOLLEY_WAIT_FD, 0);
	try_one(VOLLEY_WAIT_EVENT, 2);
	try_one(VOLLEY_WAIT_FD, 2);
	return check_done();
}
