/* SPDX-License-Identifier: MIT */

/*
 * Held packets replied to by three foreign threads, which also compete for each token: one of two
 * replies succeeds. Each reply must reach the client that asked, once. Every round ends in a stop
 * while tokens are out: those that succeeded are exactly those in the ledger.
 *
 *	race_held [--n PACKETS]
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"

enum { N_CLIENTS = 16, N_WINDOW = 16, N_THREADS = 3, N_QUEUE = 4096, N_ROUNDS = 4 };

struct message {
	uint32_t client;
	uint32_t number;
};

static struct {
	struct volley_server *server;
	pthread_mutex_t lock;
	struct volley_held queue[N_QUEUE];
	uint32_t head;
	uint32_t tail;
	bool taken_once; /* the token at the head */
	atomic_bool end;
	atomic_uint n_hold_failed;
	atomic_uint n_odd;
	atomic_ulong n_replied;
	atomic_ulong n_stale;
	int fds[N_CLIENTS];
	uint32_t sent[N_CLIENTS];
	uint32_t received[N_CLIENTS];
} race = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void hold(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++) {
		struct volley_held held;

		if (volley_packet_hold(&packets[i], &held) < 0) {
			atomic_fetch_add(&race.n_hold_failed, 1);
			continue;
		}
		pthread_mutex_lock(&race.lock);
		if (race.tail - race.head < N_QUEUE)
			race.queue[race.tail++ % N_QUEUE] = held;
		pthread_mutex_unlock(&race.lock);
	}
}

/* Each token is taken twice: two threads, as a rule, compete for it. */
static bool take(struct volley_held *ret_held)
{
	bool any;

	pthread_mutex_lock(&race.lock);
	any = race.tail != race.head;
	if (any) {
		*ret_held = race.queue[race.head % N_QUEUE];
		race.head += race.taken_once;
		race.taken_once = !race.taken_once;
	}
	pthread_mutex_unlock(&race.lock);
	return any;
}

static void use(struct volley_held held)
{
	struct message message;
	int r = volley_held_get_payload(race.server, held, &message, sizeof message);

	/* The other thread may use it up at any moment: between these two as well. */
	if (r >= 0)
		r = volley_held_reply(race.server, held, &message, sizeof message);
	if (r == 0)
		atomic_fetch_add(&race.n_replied, 1);
	else if (r == -ESTALE)
		atomic_fetch_add(&race.n_stale, 1);
	else
		atomic_fetch_add(&race.n_odd, 1);
}

static void *reply(void *arg)
{
	struct volley_held held;

	(void)arg;
	while (!atomic_load(&race.end)) {
		if (take(&held))
			use(held);
		else
			sched_yield();
	}
	return NULL;
}

static void send_some(const struct volley_addr *to, uint32_t client)
{
	while (race.sent[client] - race.received[client] < N_WINDOW) {
		struct message message = { client, race.sent[client] };

		if (sendto(race.fds[client], &message, sizeof message, 0, &to->sa, to->len) < 0)
			break;
		race.sent[client]++;
	}
}

/* Any order within the window, but each number once: a bitmap of what came beyond `received`. */
static bool receive_some(uint32_t client, uint64_t *seen)
{
	struct message message;
	bool any = false;

	while (recv(race.fds[client], &message, sizeof message, MSG_DONTWAIT) == sizeof message) {
		uint32_t ahead = message.number - race.received[client];

		if (message.client != client || ahead >= N_WINDOW || (*seen >> ahead & 1))
			atomic_fetch_add(&race.n_odd, 1);
		*seen |= UINT64_C(1) << (ahead % 64);
		while (*seen & 1) {
			*seen >>= 1;
			race.received[client]++;
		}
		any = true;
	}
	return any;
}

static uint64_t exchange(const struct volley_addr *to, uint64_t n)
{
	uint64_t seen[N_CLIENTS] = { 0 };
	uint64_t total = 0;
	int n_idle = 0;

	while (total < n && n_idle < 5000) {
		bool any = false;

		total = 0;
		for (uint32_t i = 0; i < N_CLIENTS; i++) {
			send_some(to, i);
			any = receive_some(i, &seen[i]) || any;
			total += race.received[i];
		}
		n_idle = any ? 0 : n_idle + 1;
		if (!any)
			poll(NULL, 0, 1);
	}
	CHECK(n_idle < 5000);
	/* Stop in the middle; whatever still comes was replied to before. */
	CHECK(volley_server_stop(race.server) == 0);
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		receive_some(i, &seen[i]);
	total = 0;
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		total += race.received[i] + (uint64_t)__builtin_popcountll(seen[i]);
	return total;
}

static void run_round(const struct peer_way *way, uint32_t n_handlers, uint64_t n)
{
	struct volley_stats stats = { .size = sizeof stats };
	pthread_t threads[N_THREADS];
	struct volley_addr to;
	uint64_t n_received;

	memset(race.sent, 0, sizeof race.sent);
	memset(race.received, 0, sizeof race.received);
	atomic_store(&race.n_replied, 0);
	atomic_store(&race.end, false);
	race.head = race.tail = 0;
	race.taken_once = false;
	for (int i = 0; i < N_CLIENTS; i++)
		race.fds[i] = loopback_open("127.0.0.1:0", NULL);
	race.server = peer_server(VOLLEY_CONFIG(.n_workers = 2, .n_handlers = n_handlers,
						.wait = way->wait, .io = way->io),
				  hold, NULL, &to);
	REQUIRE(volley_server_start(race.server) == 0);
	for (int i = 0; i < N_THREADS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, reply, NULL) == 0);
	n_received = exchange(&to, n);
	atomic_store(&race.end, true);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	volley_server_get_stats(race.server, &stats);
	CHECK(ledger_find_server_fault(race.server) == NULL);
	CHECK_EQ(atomic_load(&race.n_odd), 0);
	CHECK_EQ(atomic_load(&race.n_hold_failed), 0);
	CHECK_EQ(stats.held_replied, atomic_load(&race.n_replied));
	CHECK_EQ(stats.tx_sent, stats.held_replied);
	CHECK_EQ(n_received, stats.tx_sent);
	CHECK_EQ(stats.held_taken, stats.held_replied + stats.held_abandoned);
	CHECK_EQ(stats.held_now, 0);
	CHECK(volley_server_free(race.server) == 0);
	for (int i = 0; i < N_CLIENTS; i++)
		close(race.fds[i]);
}

int main(int argc, char **argv)
{
	static const struct peer_way ways[N_ROUNDS] = { { VOLLEY_WAIT_EVENT, "mmsg" },
							{ VOLLEY_WAIT_EVENT, "mmsg" },
							{ VOLLEY_WAIT_BLOCK, "mmsg" },
							{ VOLLEY_WAIT_SPIN, "msg" } };
	uint64_t n = 200000;

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n = strtoull(argv[2], NULL, 10);
	for (int i = 0; i < N_ROUNDS; i++)
		run_round(&ways[i], i == 1 ? 2 : 0, n / N_ROUNDS);
	CHECK(atomic_load(&race.n_stale) > 0); /* they did compete */
	return check_done();
}
