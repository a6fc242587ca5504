/* SPDX-License-Identifier: MIT */

/*
 * Timers in each wait strategy, on real sockets: none is early, none is lost, each fires once. How
 * late they are on an idle machine is for bench/; here nothing may take a second.
 */

#include <errno.h>
#include <pthread.h>

#include "lib/listeners.h"
#include "timing.h"

TestSuite(timers_ways, .timeout = 120);

static uint32_t n_left;
static uint64_t seed;

static uint64_t draw(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (seed >> 33) % n;
}

/* Firing --------------------------------------------------------------------------------------- */

static const uint64_t delays[] = { 0, 1000, 100000, MS, 5 * MS, 20 * MS };
enum { N_DELAYS = sizeof delays / sizeof delays[0] };
static struct probe probes[N_DELAYS];

static void fire_in_order(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct probe *probe = check_probe(worker, timer);

	cr_assert_eq(arg, &seed);
	cr_assert_eq(probe->n_fired, 1);
	cr_assert_eq(volley_worker_get_now_ns(worker), volley_worker_get_now_ns(worker));
	cr_assert_lt(volley_worker_get_now_ns(worker), probe->at_ns + 1000 * MS, "much too late");
	if (--n_left == 0)
		finish();
}

static void begin_delays(struct volley_worker *worker)
{
	n_left = N_DELAYS;
	for (uint32_t i = 0; i < N_DELAYS; i++) {
		probes[i] = (struct probe){ .timer = { .fn = fire_in_order, .arg = &seed } };
		set_probe(worker, &probes[i], delays[i], 0);
	}
}

Test(timers_ways, each_fires_once_and_not_early)
{
	for (enum way way = 0; way < N_WAYS; way++)
		play(way, begin_delays, NULL);
}

/* A tick that sets itself from the time of the last one: it does not drift. */
enum { N_TICKS = 30 };
static uint64_t next_ns;

static void fire_tick(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct probe *probe = check_probe(worker, timer);
	uint64_t now_ns = volley_worker_get_now_ns(worker);

	(void)arg;
	if (probe->n_fired == N_TICKS) {
		finish();
		return;
	}
	next_ns += MS;
	set_probe(worker, probe, next_ns > now_ns ? next_ns - now_ns : 0, 0);
}

static struct probe tick;

static void begin_ticks(struct volley_worker *worker)
{
	tick = (struct probe){ .timer = { .fn = fire_tick } };
	next_ns = volley_worker_get_now_ns(worker) + MS;
	set_probe(worker, &tick, MS, 0);
}

Test(timers_ways, one_sets_itself_again)
{
	for (enum way way = 0; way < N_WAYS; way++)
		play(way, begin_ticks, NULL);
}

/* Moved and cleared ---------------------------------------------------------------------------- */

static struct probe moved, cleared, last;

static void fire_never(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)worker, (void)timer, (void)arg;
	cr_assert(false, "it was cleared");
}

static void fire_moved(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)arg;
	cr_assert_eq(check_probe(worker, timer)->n_fired, 1);
	cr_assert_eq(last.n_fired, 0, "it was moved to before the last one");
}

static void fire_last(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)arg;
	check_probe(worker, timer);
	cr_assert_eq(moved.n_fired, 1);
	finish();
}

static void begin_moves(struct volley_worker *worker)
{
	moved = (struct probe){ .timer = { .fn = fire_moved } };
	cleared = (struct probe){ .timer = { .fn = fire_never } };
	last = (struct probe){ .timer = { .fn = fire_last } };
	set_probe(worker, &moved, 3600000 * MS, 0);
	set_probe(worker, &cleared, MS, 0);
	set_probe(worker, &last, MS, 0);
	set_probe(worker, &last, 20 * MS, 0);
	set_probe(worker, &moved, 10 * MS, 0);
	volley_worker_clear_timer(worker, &cleared.timer);
	cr_assert(is_zero(&cleared.timer));
	volley_worker_clear_timer(worker, &cleared.timer);
	volley_worker_clear_timer(worker, NULL);
}

Test(timers_ways, a_moved_one_fires_then_and_a_cleared_one_never)
{
	for (enum way way = 0; way < N_WAYS; way++)
		play(way, begin_moves, NULL);
}

/* Both are due in one turn, and whichever comes first clears the other. */
static struct probe twins[2];
static uint32_t n_rounds;

static void fire_twin(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct probe *other = arg;

	check_probe(worker, timer);
	if (!is_zero(&other->timer)) /* else it was the next turn's, and cleared this one */
		volley_worker_clear_timer(worker, &other->timer);
	cr_assert_lt(n_rounds++, 20);
	if (n_rounds == 20) {
		finish();
		return;
	}
	for (int i = 0; i < 2; i++)
		set_probe(worker, &twins[i], draw(3) * 100000, 0);
}

static void begin_twins(struct volley_worker *worker)
{
	n_rounds = 0;
	for (int i = 0; i < 2; i++)
		twins[i] = (struct probe){ .timer = { .fn = fire_twin, .arg = &twins[1 - i] } };
	for (int i = 0; i < 2; i++)
		set_probe(worker, &twins[i], MS, 0);
}

Test(timers_ways, one_clears_another_of_the_same_turn)
{
	for (enum way way = 0; way < N_WAYS; way++)
		play(way, begin_twins, NULL);
}

/* Under load ----------------------------------------------------------------------------------- */

enum { N_MANY = 10000 };
static struct probe many[N_MANY];

static void fire_many(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct probe *probe = check_probe(worker, timer);
	uint64_t now_ns = volley_worker_get_now_ns(worker);

	(void)arg;
	cr_assert_eq(probe->n_fired, 1);
	cr_assert_lt(now_ns, probe->at_ns + probe->slack_ns + 5000 * MS, "much too late");
	if (--n_left == 0)
		finish();
}

static void begin_many(struct volley_worker *worker)
{
	n_left = N_MANY;
	for (uint32_t i = 0; i < N_MANY; i++) {
		many[i] = (struct probe){ .timer = { .fn = fire_many } };
		set_probe(worker, &many[i], draw(50 * MS), draw(2) * draw(10 * MS));
	}
}

Test(timers_ways, ten_thousand)
{
	for (enum way way = 0; way < N_WAYS; way++)
		play(way, begin_many, NULL);
}

static void *flood(void *arg)
{
	uint8_t buf[64];

	(void)arg;
	while (!atomic_load(&t.is_done)) {
		for (uint8_t i = 0; i < 16; i++)
			loopback_send(t.client, &t.to, i, 16);
		for (int i = 0; i < 16 && loopback_recv(t.client, buf, sizeof buf, NULL) > 0; i++)
			;
	}
	return NULL;
}

Test(timers_ways, a_busy_worker_lets_them_fire)
{
	for (enum way way = 0; way < N_WAYS; way++) {
		pthread_t thread;

		t.begin = begin_ticks;
		t.end = NULL;
		open_way(way);
		pthread_create(&thread, NULL, flood, NULL);
		run();
		pthread_join(thread, NULL);
		close_way();
	}
}

/* Zero again and again: other work comes in between, and it is one turn each. */
static struct probe zero;

static void count_posts(struct volley_worker *worker, void *arg)
{
	(void)worker;
	++*(uint32_t *)arg;
}

static uint32_t n_posts;

static void fire_zero(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct probe *probe = check_probe(worker, timer);

	(void)arg;
	cr_assert_eq(n_posts, probe->n_fired - 1);
	if (probe->n_fired == 1000) {
		finish();
		return;
	}
	cr_assert_eq(volley_server_post(t.server, count_posts, &n_posts), 0);
	set_probe(worker, probe, 0, 0);
}

static void begin_zero(struct volley_worker *worker)
{
	n_posts = 0;
	zero = (struct probe){ .timer = { .fn = fire_zero } };
	set_probe(worker, &zero, 0, 0);
}

Test(timers_ways, a_delay_of_zero_is_the_next_turn)
{
	for (enum way way = 0; way < N_WAYS; way++)
		play(way, begin_zero, NULL);
}

/* Sending, freeing ----------------------------------------------------------------------------- */

static struct volley_addr to_client;

static void fire_send(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)arg;
	cr_assert_eq(volley_worker_send(worker, listener_at(t.server, 0), &to_client, "x", 1, NULL),
		     0);
	free(timer);
	if (--n_left == 0)
		finish();
}

static void begin_sends(struct volley_worker *worker)
{
	n_left = 20;
	for (uint32_t i = 0; i < 20; i++) {
		struct volley_timer *timer = calloc(1, sizeof *timer);

		timer->fn = fire_send;
		cr_assert_eq(volley_worker_set_timer(worker, timer, i * MS / 4, 0), 0);
	}
}

Test(timers_ways, what_they_send_leaves_and_they_may_be_freed)
{
	for (enum way way = 0; way < N_WAYS; way++) {
		uint8_t buf[8];
		int client = loopback_open("127.0.0.1:0", &to_client);

		play(way, begin_sends, NULL);
		for (int i = 0; i < 20; i++)
			cr_assert_eq(loopback_recv(client, buf, sizeof buf, NULL), 1);
		close(client);
	}
}

/* Ending --------------------------------------------------------------------------------------- */

static struct probe far[3];
enum { GONE = 0xa5 };

/* In on_stop they are cleared, and their memory may go. */
static void check_far(struct volley_worker *worker)
{
	struct volley_timer timer = { .fn = fire_never };

	cr_assert_eq(volley_worker_set_timer(worker, &timer, 0, 0), -ESHUTDOWN);
	cr_assert(is_zero(&timer));
	for (int i = 0; i < 3; i++)
		cr_assert(is_zero(&far[i].timer));
	volley_worker_clear_timer(worker, &far[2].timer);
	cr_assert(is_zero(&far[2].timer));
	cr_assert_gt(volley_worker_get_now_ns(worker), 0);
	memset(far, GONE, sizeof far);
}

static void begin_far(struct volley_worker *worker)
{
	begin_delays(worker);
	for (int i = 0; i < 3; i++) {
		far[i] = (struct probe){ .timer = { .fn = fire_never } };
		set_probe(worker, &far[i], i == 0 ? UINT64_MAX : 3600000 * MS, 0);
	}
}

Test(timers_ways, a_stop_clears_them_and_a_start_begins_anew)
{
	t.begin = begin_far;
	t.end = check_far;
	for (enum way way = 0; way < N_WAYS; way++) {
		int n_fds;

		open_way(way);
		n_fds = loopback_n_fds();
		for (int i = 0; i < 3; i++) {
			run();
			for (size_t k = 0; k < sizeof far; k++)
				cr_assert_eq(((const uint8_t *)far)[k], GONE, "it is written");
			cr_assert_eq(loopback_n_fds(), n_fds, "way %u", way);
		}
		close_way();
	}
}

/* A drain waits for a held packet, and a timer replies to it. */
static struct volley_held held;
static struct volley_timer replier;

static void fire_reply(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)worker, (void)timer, (void)arg;
	cr_assert_eq(volley_held_reply(t.server, held, "y", 1), 0);
}

static void hold(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)arg;
	cr_assert_eq(n, 1);
	cr_assert_eq(volley_packet_hold(&packets[0], &held), 0);
	replier = (struct volley_timer){ .fn = fire_reply };
	cr_assert_eq(volley_worker_set_timer(worker, &replier, 20 * MS, 0), 0);
	sem_post(&t.done);
}

/* Until the packet is held. */
static void serve_one(void)
{
	loopback_send(t.client, &t.to, 1, 16);
	if (t.way == WAY_BASE)
		cr_assert_geq(event_base_loop(t.base, EVLOOP_ONCE), 0);
	else if (t.way == WAY_FD)
		cr_assert_eq(volley_server_process(t.server), 1);
	sem_wait(&t.done);
}

Test(timers_ways, a_drain_goes_on_with_them)
{
	t.on_batch = hold;
	for (enum way way = 0; way < N_WAYS; way++) {
		uint8_t buf[8];

		open_way(way);
		cr_assert_eq(volley_server_start(t.server), 0);
		serve_one();
		cr_assert_eq(volley_server_drain(t.server), 0, "way %u", way);
		cr_assert_eq(loopback_recv(t.client, buf, sizeof buf, NULL), 1);
		cr_assert_eq(buf[0], 'y');
		close_way();
	}
}
