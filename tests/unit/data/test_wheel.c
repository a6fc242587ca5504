/* SPDX-License-Identifier: MIT */

/* The wheel against a plain array, by one clock; and its purpose: many, far, all at once. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "data/wheel.h"

#define TICK UINT64_C(65536)

static struct vly_wheel wheel;
static uint64_t seed;

static void setup(void)
{
	vly_wheel_init(&wheel);
	seed = 1;
}

TestSuite(wheel, .init = setup);

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void set(struct volley_timer *timer, uint64_t now_ns, uint64_t at_ns)
{
	vly_wheel_set(&wheel, timer, now_ns, at_ns, at_ns);
}

static uint32_t count_due(uint64_t now_ns)
{
	uint32_t n = 0;

	vly_wheel_take(&wheel, now_ns);
	while (vly_wheel_pop(&wheel) != NULL)
		n++;
	return n;
}

Test(wheel, an_empty_one_has_nothing_to_do)
{
	struct volley_timer timer = { .fn = NULL };

	cr_assert_not(vly_wheel_has_any(&wheel));
	cr_assert_eq(vly_wheel_get_wake(&wheel), UINT64_MAX);
	vly_wheel_clear(&wheel, &timer);
	cr_assert_eq(count_due(UINT64_MAX), 0);
	vly_wheel_reset(&wheel);
}

/* Before its time it is not due, at its time it is: whatever the level it lies at. */
Test(wheel, a_timer_is_due_at_its_nanosecond)
{
	struct volley_timer timer = { .fn = NULL };
	uint64_t now_ns = 1234567890123;

	for (uint64_t delay_ns = 1; delay_ns < UINT64_MAX / 4; delay_ns += delay_ns / 3 + 1) {
		set(&timer, now_ns, now_ns + delay_ns);
		cr_assert(vly_wheel_is_set(&timer) && vly_wheel_has_any(&wheel));
		cr_assert_eq(vly_wheel_get_wake(&wheel), now_ns + delay_ns);
		cr_assert_eq(count_due(now_ns + delay_ns / 2), 0);
		cr_assert_eq(count_due(now_ns + delay_ns - 1), 0);
		cr_assert_eq(vly_wheel_get_wake(&wheel), now_ns + delay_ns);
		now_ns += delay_ns;
		cr_assert_eq(count_due(now_ns), 1);
		cr_assert_not(vly_wheel_is_set(&timer) || vly_wheel_has_any(&wheel));
		cr_assert_eq(memcmp(&timer, &(struct volley_timer){ .fn = NULL }, sizeof timer), 0);
	}
	cr_assert_gt(now_ns, UINT64_MAX / 8);
}

Test(wheel, the_end_of_all_time_never_comes)
{
	struct volley_timer timer = { .fn = NULL };

	set(&timer, 5, UINT64_MAX);
	cr_assert_eq(vly_wheel_get_wake(&wheel), UINT64_MAX);
	cr_assert_eq(count_due(UINT64_MAX - 1), 0);
	vly_wheel_clear(&wheel, &timer);
	cr_assert_not(vly_wheel_has_any(&wheel));
}

Test(wheel, what_is_over_when_it_is_set_is_due_at_the_next_look)
{
	struct volley_timer timers[2] = { { .fn = NULL } };

	set(&timers[0], 100 * TICK, 90 * TICK);
	cr_assert_eq(vly_wheel_get_wake(&wheel), 90 * TICK);
	vly_wheel_take(&wheel, 100 * TICK);
	set(&timers[1], 100 * TICK, 100 * TICK);
	cr_assert_eq(vly_wheel_pop(&wheel), &timers[0]);
	cr_assert_null(vly_wheel_pop(&wheel)); /* it was not due yet at that look */
	cr_assert_eq(count_due(100 * TICK), 1);
}

/* A timer that is due can be cleared, moved, and waits for nobody. */
Test(wheel, a_due_timer_is_cleared_and_moved)
{
	struct volley_timer timers[4] = { { .fn = NULL } };

	for (int i = 0; i < 4; i++)
		set(&timers[i], 0, 1000);
	vly_wheel_take(&wheel, 1000);
	cr_assert_eq(vly_wheel_get_wake(&wheel), 0);
	cr_assert_eq(vly_wheel_pop(&wheel), &timers[0]);
	vly_wheel_clear(&wheel, &timers[1]);
	set(&timers[2], 1000, 5 * TICK);
	cr_assert_eq(vly_wheel_pop(&wheel), &timers[3]);
	cr_assert_null(vly_wheel_pop(&wheel));
	cr_assert_eq(vly_wheel_get_wake(&wheel), 5 * TICK);
	cr_assert_eq(count_due(5 * TICK), 1);
	cr_assert_not(vly_wheel_has_any(&wheel));
}

/* The wake is that of the one that can wait least, though others are due before it. */
Test(wheel, slack_is_shared)
{
	struct volley_timer timers[3] = { { .fn = NULL } };

	vly_wheel_set(&wheel, &timers[0], 0, 10 * TICK, 500000 * TICK);
	vly_wheel_set(&wheel, &timers[1], 0, 20 * TICK, 5000 * TICK);
	vly_wheel_set(&wheel, &timers[2], 0, 3000 * TICK, 4000 * TICK);
	cr_assert_eq(vly_wheel_get_wake(&wheel), 4000 * TICK);
	vly_wheel_clear(&wheel, &timers[2]);
	cr_assert_eq(vly_wheel_get_wake(&wheel), 5000 * TICK);
	cr_assert_eq(count_due(15 * TICK), 1); /* somebody else has woken it */
	cr_assert_eq(vly_wheel_get_wake(&wheel), 5000 * TICK);
	cr_assert_eq(count_due(5000 * TICK), 1);
	cr_assert_eq(vly_wheel_get_wake(&wheel), UINT64_MAX);
}

/* A wake for nothing, where one of a slot was cleared, is the only one. */
Test(wheel, a_cleared_timer_costs_one_wake)
{
	struct volley_timer timers[2] = { { .fn = NULL } };
	uint64_t first = UINT64_C(1) << 50, second = first + 1000 * TICK;

	set(&timers[0], 0, first);
	set(&timers[1], 0, second);
	vly_wheel_clear(&wheel, &timers[0]);
	cr_assert_eq(count_due(vly_wheel_get_wake(&wheel)), 0);
	cr_assert_eq(vly_wheel_get_wake(&wheel), second);
	cr_assert_eq(count_due(second), 1);
}

Test(wheel, reset_clears_all)
{
	struct volley_timer timers[300] = { { .fn = NULL } };

	for (uint32_t i = 0; i < 300; i++)
		set(&timers[i], 0, i < 100 ? 5 : draw() >> (i % 60));
	vly_wheel_take(&wheel, 5);
	vly_wheel_reset(&wheel);
	cr_assert_not(vly_wheel_has_any(&wheel));
	for (uint32_t i = 0; i < 300; i++)
		cr_assert_not(vly_wheel_is_set(&timers[i]));
	cr_assert_eq(count_due(UINT64_MAX), 0);
	set(&timers[0], 0, 9 * TICK);
	cr_assert_eq(vly_wheel_get_wake(&wheel), 9 * TICK);
	vly_wheel_reset(&wheel);
}

/* The model ------------------------------------------------------------------------------------ */

enum { N_TIMERS = 500, N_STEPS = 200000 };

static struct volley_timer timers[N_TIMERS];
static uint64_t at_ns[N_TIMERS], latest_ns[N_TIMERS]; /* 0: not set */
static uint64_t now_ns;

static uint64_t add_up(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static void set_any(uint32_t i)
{
	uint64_t delay_ns = draw() >> (draw() % 64);
	uint64_t slack_ns = draw() % 4 == 0 ? draw() >> (draw() % 64) : 0;

	at_ns[i] = add_up(now_ns, delay_ns);
	latest_ns[i] = add_up(at_ns[i], slack_ns);
	vly_wheel_set(&wheel, &timers[i], now_ns, at_ns[i], latest_ns[i]);
}

static void clear_any(uint32_t i)
{
	vly_wheel_clear(&wheel, &timers[i]);
	at_ns[i] = latest_ns[i] = 0;
}

/* Take all that is due, and change others meanwhile. */
static void take_all(void)
{
	struct volley_timer *timer;
	uint32_t n = 0;

	vly_wheel_take(&wheel, now_ns);
	while ((timer = vly_wheel_pop(&wheel)) != NULL) {
		uint32_t i = (uint32_t)(timer - timers);

		n++;
		cr_assert(at_ns[i] != 0 && at_ns[i] <= now_ns, "too early, or not set");
		at_ns[i] = latest_ns[i] = 0;
		if (draw() % 4 == 0)
			set_any((uint32_t)(draw() % N_TIMERS));
		if (draw() % 4 == 0)
			clear_any((uint32_t)(draw() % N_TIMERS));
	}
	cr_assert_leq(n, VLY_WHEEL_N_DUE);
}

/* What is set is set in both, and no wake is too late. Returns how many are over. */
static uint32_t compare(void)
{
	uint64_t wake_ns = vly_wheel_get_wake(&wheel);
	uint64_t first_ns = UINT64_MAX;
	uint32_t n = 0, n_over = 0;

	for (uint32_t i = 0; i < N_TIMERS; i++) {
		cr_assert_eq(vly_wheel_is_set(&timers[i]), at_ns[i] != 0);
		n += at_ns[i] != 0;
		n_over += at_ns[i] != 0 && at_ns[i] <= now_ns;
		if (at_ns[i] != 0 && latest_ns[i] < first_ns)
			first_ns = latest_ns[i];
	}
	cr_assert_eq(n, wheel.n);
	cr_assert_leq(wake_ns, first_ns);
	return n_over;
}

/* Small steps of time and large ones, and to the wake that it names, or just before it. */
static void step_time(void)
{
	uint64_t wake_ns = vly_wheel_get_wake(&wheel);

	switch (draw() % 8) {
	case 0:
		now_ns = add_up(now_ns, draw() >> (24 + draw() % 40)) & UINT64_MAX >> 1;
		break;
	case 1:
		if (wake_ns > now_ns && wake_ns < UINT64_MAX >> 2)
			now_ns = wake_ns;
		break;
	case 2:
		if (wake_ns > now_ns + 1 && wake_ns < UINT64_MAX >> 2)
			now_ns = wake_ns - 1;
		break;
	default:
		now_ns += draw() % (4 * TICK);
	}
}

Test(wheel, random_changes_against_a_plain_array, .timeout = 60)
{
	now_ns = 5;
	for (uint32_t step = 0; step < N_STEPS && now_ns < UINT64_MAX >> 2; step++) {
		uint32_t i = (uint32_t)(draw() % N_TIMERS);

		if (draw() % 3 != 0)
			set_any(i);
		else
			clear_any(i);
		if (draw() % 4 == 0)
			step_time();
		if (draw() % 4 == 0)
			take_all();
		if (step % 16 == 0)
			compare();
	}
	for (uint32_t i = 0; compare() > 0; i++) {
		cr_assert_lt(i, 1000, "what is over never comes");
		take_all();
	}
}

/* Sleeping until each wake, nobody fires later than it may, and no wake is for nothing. */
Test(wheel, wakes_are_in_time_and_seldom_for_nothing)
{
	uint32_t n_fired = 0, n_wakes = 0, n_idle = 0;
	struct volley_timer *timer;

	now_ns = UINT64_C(1) << 40;
	for (uint32_t i = 0; i < N_TIMERS; i++)
		set_any(i);
	while (n_fired < 100000) {
		uint64_t wake_ns = vly_wheel_get_wake(&wheel);
		uint32_t n_now = 0;

		cr_assert(wake_ns != 0 && wake_ns >= now_ns);
		now_ns = wake_ns;
		vly_wheel_take(&wheel, now_ns);
		while ((timer = vly_wheel_pop(&wheel)) != NULL) {
			uint32_t i = (uint32_t)(timer - timers);

			n_now++;
			cr_assert(at_ns[i] <= now_ns && now_ns <= latest_ns[i]);
			at_ns[i] = add_up(now_ns, draw() >> (30 + draw() % 34));
			latest_ns[i] = at_ns[i];
			vly_wheel_set(&wheel, timer, now_ns, at_ns[i], latest_ns[i]);
		}
		n_fired += n_now;
		n_wakes++;
		n_idle += n_now == 0;
	}
	cr_assert_eq(n_idle, 0, "%u of %u wakes are for nothing", n_idle, n_wakes);
}

/* Many ----------------------------------------------------------------------------------------- */

enum { N_MANY = 1000000 };

/* Two million, one half at one time: each look makes some of them due, and none is forgotten. */
Test(wheel, millions_are_due_in_parts, .timeout = 60)
{
	struct volley_timer *many = calloc(2 * N_MANY, sizeof *many);
	uint32_t n = 0, n_looks = 0;

	for (uint32_t i = 0; i < 2 * N_MANY; i++)
		set(&many[i], 7, i < N_MANY ? 60000000007 : 60000000007 + draw() % 600000000000);
	cr_assert_eq(vly_wheel_get_wake(&wheel), 60000000007);
	cr_assert_eq(count_due(60000000006), 0);
	while (n < N_MANY) {
		uint32_t n_now = count_due(60000000007);

		cr_assert_leq(n_now, VLY_WHEEL_N_DUE);
		n += n_now;
		cr_assert_lt(n_looks++, 30000);
	}
	for (n_looks = 0; n < 2 * N_MANY; n_looks++) {
		n += count_due(660000000007);
		cr_assert_lt(n_looks, 100000);
	}
	cr_assert_not(vly_wheel_has_any(&wheel));
	free(many);
}

/* A tick that many share, with times of their own. */
Test(wheel, a_full_tick_is_exact)
{
	static struct volley_timer full[10000];

	for (uint32_t i = 0; i < 10000; i++)
		set(&full[i], 0, 10 * TICK + i);
	for (uint32_t i = 0; i < 10000; i++) {
		uint32_t n = 0;

		while (n == 0) /* looks are bounded, so the first ones may find others */
			n = count_due(10 * TICK + i);
		cr_assert_eq(n, 1, "%u at %u", n, i);
	}
	cr_assert_not(vly_wheel_has_any(&wheel));
}
