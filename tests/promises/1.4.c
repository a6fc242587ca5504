/* SPDX-License-Identifier: MIT */

/*
 * Between two calls of volley_server_process(): what is sent there makes the descriptor readable
 * and the timeout 0, until the next call has sent it; by then nothing is to be done any more.
 */

#include "sending.h"

static struct volley_addr peer;
static struct volley_worker *worker;

static int on_start(struct volley_worker *starting, void *arg)
{
	(void)arg;
	worker = starting;
	return 0;
}

static bool is_readable(struct volley_server *server)
{
	struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static void expect_idle(struct volley_server *server)
{
	CHECK(!is_readable(server));
	CHECK_EQ(volley_server_get_timeout_ns(server), -1);
}

/* More than fit into one flush. */
static void send_between(struct volley_server *server, int receiver, int n)
{
	char buf[8];
	int n_received = 0;

	expect_idle(server);
	for (int i = 0; i < n; i++)
		CHECK_EQ(say(worker, &peer, "tick"), 0);
	CHECK(is_readable(server));
	CHECK_EQ(volley_server_get_timeout_ns(server), 0);
	CHECK_EQ(volley_server_process(server), 0);
	expect_idle(server);
	while (receiver_take(receiver, buf, sizeof buf, 0) == 4)
		n_received++;
	CHECK_EQ(n_received, n);
}

int main(void)
{
	struct volley_server *server;
	int receiver;

	promise_begin(10);
	receiver = receiver_open(&peer);
	server = server_open(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD, .on_start = on_start));
	REQUIRE(volley_server_start(server) == 0);
	volley_server_process(server); /* whatever a start leaves to do */
	for (int i = 0; i < 3; i++)
		send_between(server, receiver, 1);
	send_between(server, receiver, 3);
	send_between(server, receiver, 3000);
	CHECK_EQ(get_stats(server).tx_sent, 3 + 3 + 3000);
	CHECK(is_balanced(server));
	CHECK_EQ(volley_server_free(server), 0);
	return check_done();
}
