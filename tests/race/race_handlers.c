/* SPDX-License-Identifier: MIT */

/*
 * Handlers under load: each client's datagrams are numbered, and neither the callback nor the
 * client may see them out of order, twice, or not at all. Callbacks take uneven time, so handlers
 * overtake one another. Each round ends in a stop or a drain under traffic, and the books must
 * balance.
 *
 *	race_handlers [--n DATAGRAMS]
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"

/* 64 flows of 24 under way are 1,536 packets, of which no handler gets more than its ring holds. */
enum { N_CLIENTS = 64, N_WINDOW = 24, N_HANDLERS = 4, N_RING = 2048, N_BYTES = 32 };

struct message {
	uint32_t client;
	uint32_t number;
};

static struct {
	_Atomic uint32_t next[N_CLIENTS]; /* what the callback expects */
	atomic_uint n_odd;
	int fds[N_CLIENTS];
	uint32_t sent[N_CLIENTS];
	uint32_t received[N_CLIENTS];
} race;

static void check_and_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	for (size_t i = 0; i < n; i++) {
		struct message message;
		volatile uint32_t work;

		memcpy(&message, packets[i].data, sizeof message);
		if (packets[i].len != N_BYTES || message.client >= N_CLIENTS ||
		    atomic_fetch_add_explicit(&race.next[message.client], 1,
					      memory_order_relaxed) != message.number)
			atomic_fetch_add(&race.n_odd, 1);
		/* Some are slow: a hundred times what the others take. */
		work = message.number % 64 == message.client ? 20000 : 200;
		while (work > 0)
			work--;
	}
	peer_echo(worker, packets, n, arg);
}

static void send_some(const struct volley_addr *to, uint32_t client)
{
	uint8_t bytes[N_BYTES] = { 0 };

	while (race.sent[client] - race.received[client] < N_WINDOW) {
		struct message message = { client, race.sent[client] };

		memcpy(bytes, &message, sizeof message);
		if (sendto(race.fds[client], bytes, sizeof bytes, 0, &to->sa, to->len) < 0)
			break;
		race.sent[client]++;
	}
}

static bool receive_some(uint32_t client)
{
	uint8_t bytes[64];
	bool any = false;

	while (recv(race.fds[client], bytes, sizeof bytes, MSG_DONTWAIT) == N_BYTES) {
		struct message message;

		memcpy(&message, bytes, sizeof message);
		if (message.client != client || message.number != race.received[client])
			atomic_fetch_add(&race.n_odd, 1);
		race.received[client]++;
		any = true;
	}
	return any;
}

static uint64_t sum(const uint32_t counts[N_CLIENTS])
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < N_CLIENTS; i++)
		total += counts[i];
	return total;
}

/* Until n replies are here. False: nothing came for five seconds. */
static bool exchange(const struct volley_addr *to, uint64_t n)
{
	int n_idle = 0;

	while (sum(race.received) < n && n_idle < 5000) {
		bool any = false;

		for (uint32_t i = 0; i < N_CLIENTS; i++) {
			send_some(to, i);
			any = receive_some(i) || any;
		}
		n_idle = any ? 0 : n_idle + 1;
		if (!any)
			poll(NULL, 0, 1); /* a machine with one CPU for all of us */
	}
	return n_idle < 5000;
}

static void run_round(uint32_t wait, bool drain, uint64_t n)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *server;
	struct volley_addr to;

	memset(race.next, 0, sizeof race.next);
	memset(race.sent, 0, sizeof race.sent);
	memset(race.received, 0, sizeof race.received);
	for (int i = 0; i < N_CLIENTS; i++)
		race.fds[i] = loopback_open("127.0.0.1:0", NULL);
	server = peer_server(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = N_HANDLERS,
					   .n_ring = N_RING, .wait = wait, .drain_us = 30000000),
			     check_and_echo, NULL, &to);
	REQUIRE(volley_server_start(server) == 0);
	CHECK(exchange(&to, n));
	CHECK(drain ? volley_server_drain(server) == 0 : volley_server_stop(server) == 0);
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		receive_some(i);
	volley_server_get_stats(server, &stats);
	CHECK(ledger_find_server_fault(server) == NULL);
	CHECK_EQ(atomic_load(&race.n_odd), 0);
	CHECK_EQ(stats.tx_sent, sum(race.received));
	CHECK_EQ(stats.delivered, stats.tx_sent);
	CHECK_EQ(stats.rx_dropped[VOLLEY_RX_RING_FULL] + stats.rx_dropped[VOLLEY_RX_POOL_FULL], 0);
	if (drain)
		CHECK_EQ(stats.delivered, sum(race.sent));
	CHECK(volley_server_free(server) == 0);
	for (int i = 0; i < N_CLIENTS; i++)
		close(race.fds[i]);
}

int main(int argc, char **argv)
{
	uint64_t n = 500000;

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n = strtoull(argv[2], NULL, 10);
	for (int round = 0; round < 4; round++)
		run_round(round < 2 ? VOLLEY_WAIT_EVENT : VOLLEY_WAIT_SPIN, round % 2, n / 4);
	return check_done();
}
