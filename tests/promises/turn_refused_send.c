/* SPDX-License-Identifier: MIT */

/*
 * With a loop of your own, what volley_worker_send() refuses between two turns is in the books when
 * it returns: it asks for no turn, so nothing else would come along to count it. What stands behind
 * one that was taken is there with the next turn, which that one asks for.
 */

#include <errno.h>
#include <poll.h>

#include <event2/event.h>
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

static bool is_idle(struct volley_server *server)
{
	struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };

	return fd.fd < 0 || (poll(&fd, 1, 0) == 0 && volley_server_get_timeout_ns(server) < 0);
}

static void check_books(struct volley_server *server, uint64_t n_sent, uint64_t n_each)
{
	struct volley_stats stats = bounds_stats(server);

	CHECK_EQ(stats.tx_requested, n_sent + 2 * n_each);
	CHECK_EQ(stats.tx_sent, n_sent);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_EMSGSIZE], n_each);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_REFUSED], n_each);
}

static void try_one(struct event_base *base)
{
	static const char big[66000];
	struct volley_server *server;
	struct volley_addr to, nowhere;

	REQUIRE(volley_addr_parse("127.0.0.1:9", &to) == 0);
	REQUIRE(volley_addr_parse("127.0.0.1:0", &nowhere) == 0);
	REQUIRE(volley_server_new(
			VOLLEY_CONFIG(.event_base = base, .on_start = on_start,
				      .wait = base != NULL ? VOLLEY_WAIT_EVENT : VOLLEY_WAIT_FD),
			&server) == 0);
	bounds_listen(server, VOLLEY_LISTEN(.on_packet = bounds_on_packet), 0);
	REQUIRE(volley_server_start(server) == 0);
	for (uint64_t i = 1; i <= 3; i++) {
		CHECK_EQ(volley_worker_send(seen, listener_at(volley_worker_get_server(seen), 0),
					    &to, big, sizeof big, NULL),
			 -EMSGSIZE);
		CHECK_EQ(volley_worker_send(seen, listener_at(volley_worker_get_server(seen), 0),
					    &nowhere, "x", 1, NULL),
			 -EINVAL);
		check_books(server, 0, i);
		CHECK(is_idle(server));
	}
	CHECK_EQ(volley_worker_send(seen, listener_at(volley_worker_get_server(seen), 0), &to, "x",
				    1, NULL),
		 0);
	CHECK_EQ(volley_worker_send(seen, listener_at(volley_worker_get_server(seen), 0), &to, big,
				    sizeof big, NULL),
		 -EMSGSIZE);
	CHECK_EQ(volley_worker_send(seen, listener_at(volley_worker_get_server(seen), 0), &nowhere,
				    "x", 1, NULL),
		 -EINVAL);
	if (base != NULL)
		event_base_loop(base, EVLOOP_NONBLOCK);
	else
		CHECK_EQ(volley_server_process(server), 0);
	check_books(server, 1, 4);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	struct event_base *base = event_base_new();

	promise_begin(5);
	try_one(NULL);
	try_one(base);
	event_base_free(base);
	return check_done();
}
