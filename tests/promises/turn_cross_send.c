/* SPDX-License-Identifier: MIT */

/*
 * Two servers with loops of your own, each on its thread: callbacks of each send by the other one's
 * worker while both are in their turns, and everything arrives in order. And handlers of each do so
 * while both servers stop.
 */

#include <errno.h>
#include <poll.h>

#include <event2/event.h>
#include <volley/cancel.h>
#include <volley/send.h>

#include "bounds.h"
#include "lib/listeners.h"

enum { N_ROUNDS = 50, N_EACH = 4 };

static struct side {
	struct volley_server *server;
	struct volley_worker *worker;
	struct event_base *base; /* NULL: by the descriptor */
	struct volley_addr addr; /* of its listener */
	atomic_uint n_met;       /* callbacks that have begun, */
	atomic_uint n_done;      /* and sent */
	int result;              /* of sends while it stops */
} sides[2];

static struct volley_addr sinks[2];
static int sink_fds[2];

static struct side *get_other(const struct side *side)
{
	return &sides[side == &sides[0]];
}

static int on_start(struct volley_worker *worker, void *arg)
{
	((struct side *)arg)->worker = worker;
	return 0;
}

/* Both are in a turn before either sends. */
static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct side *side = arg;
	struct side *other = get_other(side);
	unsigned int n = atomic_fetch_add(&side->n_met, 1);

	(void)worker, (void)packet;
	while (atomic_load(&other->n_met) <= n)
		sched_yield();
	for (unsigned int i = n * N_EACH; i < (n + 1) * N_EACH; i++)
		CHECK_EQ(volley_worker_send(other->worker,
					    listener_at(volley_worker_get_server(other->worker), 0),
					    &sinks[other - sides], &i, sizeof i, NULL),
			 0);
	CHECK(volley_server_get_timeout_ns(other->server) <= 0);
	atomic_fetch_add(&side->n_done, 1);
}

/* A stop cancels what handlers wait for: so its server has the turn, and waits for us. */
static void on_handled(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct side *side = arg;
	struct side *other = get_other(side);

	(void)worker, (void)packet;
	atomic_fetch_add(&side->n_met, 1);
	while (!volley_cancel_pending())
		sched_yield();
	atomic_fetch_add(&side->n_done, 1);
	while (atomic_load(&other->n_done) == 0)
		sched_yield();
	side->result = volley_worker_send(other->worker,
					  listener_at(volley_worker_get_server(other->worker), 0),
					  &sinks[0], "x", 1, NULL);
}

static void *loop(void *arg)
{
	struct side *side = arg;
	struct pollfd fd = { .fd = volley_server_get_fd(side->server), .events = POLLIN };

	if (side->base != NULL)
		event_base_dispatch(side->base);
	else
		while (volley_server_process(side->server) >= 0)
			poll(&fd, 1, -1);
	return NULL;
}

static void *stop(void *arg)
{
	CHECK_EQ(volley_server_stop(((struct side *)arg)->server), 0);
	return NULL;
}

static int open_sink(struct volley_addr *ret_addr)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof ret_addr->in;

	REQUIRE(volley_addr_parse("127.0.0.1:0", ret_addr) == 0);
	REQUIRE(bind(fd, &ret_addr->sa, ret_addr->len) == 0);
	REQUIRE(getsockname(fd, &ret_addr->sa, &len) == 0);
	return fd;
}

static void open_side(struct side *side, bool has_base, uint32_t n_handlers, volley_packet_fn fn)
{
	struct volley_config config = {
		.size = sizeof config, .n_handlers = n_handlers, .on_start = on_start, .arg = side
	};

	*side = (struct side){ .base = has_base ? event_base_new() : NULL };
	config.event_base = side->base;
	config.wait = has_base ? VOLLEY_WAIT_EVENT : VOLLEY_WAIT_FD;
	REQUIRE(volley_server_new(&config, &side->server) == 0);
	side->addr = bounds_listen(side->server, VOLLEY_LISTEN(.on_packet = fn, .arg = side), 0);
	REQUIRE(volley_server_start(side->server) == 0);
}

static void close_side(struct side *side)
{
	CHECK_EQ(volley_server_free(side->server), 0);
	if (side->base != NULL)
		event_base_free(side->base);
}

static void expect_in_order(int fd)
{
	for (unsigned int i = 0; i < N_ROUNDS * N_EACH; i++) {
		unsigned int got = UINT32_MAX;

		REQUIRE(recv(fd, &got, sizeof got, 0) == sizeof got);
		CHECK_EQ(got, i);
	}
	CHECK(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) < 0);
}

static void try_turns(bool has_base)
{
	int client = socket(AF_INET, SOCK_DGRAM, 0);
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		open_side(&sides[i], has_base, 0, on_packet);
	for (int i = 0; i < 2; i++)
		REQUIRE(pthread_create(&threads[i], NULL, loop, &sides[i]) == 0);
	for (unsigned int n = 1; n <= N_ROUNDS; n++) {
		for (int i = 0; i < 2; i++)
			REQUIRE(sendto(client, "x", 1, 0, &sides[i].addr.sa, sides[i].addr.len) ==
				1);
		for (int i = 0; i < 2; i++)
			while (atomic_load(&sides[i].n_done) < n)
				sched_yield();
	}
	for (int i = 0; i < 2; i++)
		expect_in_order(sink_fds[i]);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(volley_server_request_stop(sides[i].server), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(bounds_stats(sides[i].server).tx_requested, N_ROUNDS * N_EACH);
		CHECK_EQ(bounds_stats(sides[i].server).tx_sent, N_ROUNDS * N_EACH);
		close_side(&sides[i]);
	}
	close(client);
}

static void try_handlers(void)
{
	int client = socket(AF_INET, SOCK_DGRAM, 0);
	pthread_t threads[2];

	for (int i = 0; i < 2; i++) {
		open_side(&sides[i], false, 1, on_handled);
		REQUIRE(sendto(client, "x", 1, 0, &sides[i].addr.sa, sides[i].addr.len) == 1);
		while (atomic_load(&sides[i].n_met) == 0)
			volley_server_process(sides[i].server);
	}
	for (int i = 0; i < 2; i++)
		REQUIRE(pthread_create(&threads[i], NULL, stop, &sides[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		struct volley_stats stats = bounds_stats(sides[i].server);
		int result = get_other(&sides[i])->result;

		CHECK(result == 0 || result == -ESHUTDOWN);
		CHECK_EQ(stats.tx_requested, result == 0);
		CHECK_EQ(stats.tx_sent, result == 0);
		close_side(&sides[i]);
	}
	close(client);
}

int main(void)
{
	promise_begin(5);
	for (int i = 0; i < 2; i++)
		sink_fds[i] = open_sink(&sinks[i]);
	try_turns(false);
	try_turns(true);
	try_handlers();
	return check_done();
}
