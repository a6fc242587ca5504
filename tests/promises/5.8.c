/* SPDX-License-Identifier: MIT */

/*
 * No datagram pays for a report about another one: under a flood of ICMP reports every reply to a
 * healthy client is sent, and none is dropped as if it had been refused.
 */

#include "bounds.h"
#include "icmp.h"

enum { RUN_MS = 1500 };

static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

static uint64_t sum_dropped(const struct volley_stats *stats)
{
	uint64_t sum = 0;

	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++)
		sum += stats->tx_dropped[i];
	return sum;
}

int main(void)
{
	double end_ms = bounds_now_ms() + RUN_MS;
	struct volley_server *server;
	struct icmp_flood flood;
	struct volley_stats stats;
	struct volley_addr addr;
	uint64_t n_replies = 0;
	char buf[8];
	int fd;

	promise_begin(10);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	addr = bounds_listen(
		server, VOLLEY_LISTEN(.on_packet = reply, .flags = VOLLEY_LISTEN_REPORT_ERRORS), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	REQUIRE(connect(fd, &addr.sa, addr.len) == 0);
	REQUIRE(volley_server_start(server) == 0);
	icmp_begin(&flood, addr.in.sin_port);
	while (bounds_now_ms() < end_ms) {
		const struct timeval patience = { .tv_sec = 1 };

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		send(fd, "hello", 5, 0);
		n_replies += recv(fd, buf, sizeof buf, 0) == 5;
	}
	icmp_end(&flood);
	CHECK_EQ(volley_server_drain(server), 0);
	stats = bounds_stats(server);
	fprintf(stderr, "%llu replies, %llu reports, %llu of them read\n",
		(unsigned long long)n_replies, (unsigned long long)atomic_load(&flood.n_sent),
		(unsigned long long)stats.tx_reported);
	CHECK(stats.tx_reported > 100);
	CHECK_EQ(stats.tx_requested, stats.delivered);
	CHECK_EQ(sum_dropped(&stats), 0);
	CHECK_EQ(n_replies, stats.tx_sent);
	CHECK_EQ(volley_server_free(server), 0);
	return check_done();
}
