/* SPDX-License-Identifier: MIT */

/*
 * A drain takes drain_us and the callback that runs, and nothing is added: not the rest of a pass
 * with slow callbacks, not what handlers have, not the time that replies may wait for a slow link,
 * not packets that are held. (The kernel is told to refuse what is new first, up to 30 ms.)
 */

#include "bounds.h"

enum { CALLBACK_US = 10000, DRAIN_MS = 100, MAX_MS = DRAIN_MS + 30 + 10 };

static void expect_bound(struct volley_server *server)
{
	double begin_ms = bounds_now_ms();
	int r = volley_server_drain(server);

	BOUNDS_CHECK(begin_ms, MAX_MS);
	CHECK(bounds_now_ms() - begin_ms > DRAIN_MS - 20);
	CHECK_EQ(r, -ETIME);
}

/* What could not be served is counted, or still there. */
static void expect_books(struct volley_server *server, uint64_t n_sent)
{
	struct volley_stats stats = bounds_stats(server);

	CHECK_EQ(stats.rx_datagrams, stats.delivered + stats.rx_dropped[VOLLEY_RX_STOPPED]);
	CHECK(stats.rx_datagrams < n_sent);
	CHECK_EQ(volley_server_close(server), 0);
	stats = bounds_stats(server);
	CHECK_EQ(stats.rx_messages + stats.discarded_at_close, n_sent);
	CHECK_EQ(volley_server_free(server), 0);
}

static void try_drain(uint32_t n_listeners, uint32_t n_handlers)
{
	struct volley_server *server = bounds_open(
		VOLLEY_CONFIG(.n_workers = 1, .n_handlers = n_handlers, .n_ring = 16,
			      .drain_us = DRAIN_MS * 1000),
		n_listeners, 200, CALLBACK_US);

	REQUIRE(volley_server_start(server) == 0);
	bounds_await_calls(2);
	expect_bound(server);
	if (n_handlers == 0)
		expect_books(server, (uint64_t)n_listeners * 200);
	else
		CHECK_EQ(volley_server_free(server), 0);
}

static void reply_much(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	static char payload[1400];

	(void)worker, (void)arg;
	for (int i = 0; i < 50; i++)
		volley_packet_reply(packet, payload, sizeof payload);
	atomic_fetch_add(&bounds_n_calls, 1);
}

/* At 8 kbit/s what waits here would take minutes. */
static void try_slow_link(void)
{
	struct volley_server *server;
	struct volley_stats stats;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .drain_us = DRAIN_MS * 1000,
						.backlog_us = 60000000, .sndbuf_bytes = 4608),
				  &server) == 0);
	atomic_store(&bounds_n_calls, 0);
	bounds_listen(server,
		      VOLLEY_LISTEN(.on_packet = reply_much, .flags = VOLLEY_LISTEN_NO_COALESCE),
		      1);
	if (!namespace_run("tc qdisc add dev lo root tbf rate 8kbit burst 1600 limit 64m")) {
		SKIP("no tbf here");
		return;
	}
	REQUIRE(volley_server_start(server) == 0);
	bounds_await_calls(1);
	expect_bound(server);
	stats = bounds_stats(server);
	CHECK(stats.tx_dropped[VOLLEY_TX_STOPPED] > 0);
	CHECK_EQ(stats.tx_requested, stats.tx_sent + stats.tx_dropped[VOLLEY_TX_STOPPED]);
	CHECK_EQ(volley_server_free(server), 0);
}

static void hold(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_held held;

	(void)worker, (void)arg;
	volley_packet_hold(packet, &held);
	atomic_fetch_add(&bounds_n_calls, 1);
}

static void try_held(void)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .drain_us = DRAIN_MS * 1000),
				  &server) == 0);
	atomic_store(&bounds_n_calls, 0);
	bounds_listen(server, VOLLEY_LISTEN(.on_packet = hold), 10);
	REQUIRE(volley_server_start(server) == 0);
	bounds_await_calls(10);
	expect_bound(server);
	CHECK_EQ(bounds_stats(server).held_abandoned, 10);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(10);
	try_drain(1, 0);
	try_drain(8, 0);
	try_drain(8, 2);
	try_held();
	try_slow_link();
	return check_done();
}
