/* SPDX-License-Identifier: MIT */

/*
 * A drain serves every datagram that is queued, and so does closing a listener, under a flood of
 * ICMP reports too: a receive call that ends short at such a report has not emptied the queue.
 */

#include "bounds.h"
#include "icmp.h"
#include "lib/listeners.h"

enum { N_ROUNDS = 16, N_DATAGRAMS = 2000 };

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

static void serve_out(bool by_close)
{
	struct volley_server *server;
	struct icmp_flood flood;
	struct volley_stats stats;
	struct volley_addr addr;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .drain_us = 60000000), &server) ==
		0);
	addr = bounds_listen(
		server,
		VOLLEY_LISTEN(.on_batch = on_batch,
			      .flags = VOLLEY_LISTEN_REPORT_ERRORS | VOLLEY_LISTEN_NO_COALESCE),
		N_DATAGRAMS);
	icmp_begin(&flood, addr.in.sin_port);
	REQUIRE(volley_server_start(server) == 0);
	if (by_close)
		CHECK_EQ(volley_listener_close(server, listener_at(server, 0)), 0);
	CHECK_EQ(volley_server_drain(server), 0);
	icmp_end(&flood);
	stats = bounds_stats(server);
	CHECK_EQ(stats.delivered, N_DATAGRAMS - stats.kernel_drops);
	CHECK_EQ(volley_server_close(server), 0);
	CHECK_EQ(bounds_stats(server).discarded_at_close, 0);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(20);
	for (int i = 0; i < N_ROUNDS; i++)
		serve_out(i % 2 == 1);
	return check_done();
}
