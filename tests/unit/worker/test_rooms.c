/* SPDX-License-Identifier: MIT */

/*
 * Rooms of volley_worker_send_buffer() in everything that runs on the worker's thread: each of them
 * may take nearly all of the arena and send nothing, again and again, for it is given back when
 * that returns. And a tick to all, out of one.
 */

#include <string.h>

#include "timing.h"

TestSuite(rooms, .timeout = 60);

enum { N_ROUNDS = 50 };

static uint32_t n_left;
static struct volley_timer timers[2];

static size_t need = 1000000; /* the arena is 1 MiB: there is one at a time */

static void take(struct volley_worker *worker)
{
	uint8_t *rooms[16];

	for (int i = 0; i < 16; i++) {
		rooms[i] = volley_worker_send_buffer(worker, need / 16, NULL);
		cr_assert_not_null(rooms[i]);
		rooms[i][0] = (uint8_t)i;
	}
	cr_assert_null(volley_worker_send_buffer(worker, 65000, NULL), "it is all taken");
	for (int i = 0; i < 16; i++)
		cr_assert_eq(rooms[i][0], i);
}

static void run_post(struct volley_worker *worker, void *arg)
{
	(void)arg;
	take(worker);
	if (--n_left == 0)
		finish();
}

static void fire(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)arg;
	take(worker);
	if (n_left > N_ROUNDS) {
		cr_assert_eq(volley_worker_set_timer(worker, timer, 0, 0), 0);
		n_left--;
	}
	if (n_left == N_ROUNDS) {
		for (int i = 0; i < N_ROUNDS; i++)
			cr_assert_eq(volley_server_post(t.server, run_post, NULL), 0);
		n_left--;
	}
}

static void begin(struct volley_worker *worker)
{
	take(worker);
	n_left = 2 * N_ROUNDS;
	for (int i = 0; i < 2; i++) {
		timers[i] = (struct volley_timer){ .fn = fire };
		cr_assert_eq(volley_worker_set_timer(worker, &timers[i], 0, 0), 0);
	}
}

static void end(struct volley_worker *worker)
{
	take(worker);
}

Test(rooms, each_callback_gives_them_back)
{
	for (enum way way = 0; way < N_WAYS; way++)
		play(way, begin, end);
}

/* The tick of a game: one state for all who play. */
enum { N_PLAYERS = 50, N_TICKS = 20 };
static struct volley_addr players[N_PLAYERS];

static void fire_tick(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	char *state = volley_worker_send_buffer(worker, 512, NULL);

	(void)arg;
	cr_assert_not_null(state);
	memset(state, (int)n_left, 512);
	cr_assert_eq(volley_worker_send_many(worker, t.listener, players, N_PLAYERS,
					     &(struct volley_payload){ state, 512 }, NULL),
		     N_PLAYERS);
	if (--n_left == 0)
		finish();
	else
		cr_assert_eq(volley_worker_set_timer(worker, timer, MS / 4, 0), 0);
}

static void begin_ticks(struct volley_worker *worker)
{
	n_left = N_TICKS;
	timers[0] = (struct volley_timer){ .fn = fire_tick };
	cr_assert_eq(volley_worker_set_timer(worker, &timers[0], 0, 0), 0);
}

Test(rooms, a_tick_for_all)
{
	for (enum way way = 0; way < N_WAYS; way++) {
		int fds[N_PLAYERS];
		uint8_t buf[600];

		for (int i = 0; i < N_PLAYERS; i++)
			fds[i] = loopback_open("127.0.0.1:0", &players[i]);
		play(way, begin_ticks, NULL);
		for (int i = 0; i < N_PLAYERS; i++) {
			for (uint8_t k = N_TICKS; k > 0; k--) {
				cr_assert_eq(loopback_recv(fds[i], buf, sizeof buf, NULL), 512);
				cr_assert(buf[0] == k && buf[511] == k);
			}
			close(fds[i]);
		}
	}
}
