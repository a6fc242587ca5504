/* SPDX-License-Identifier: MIT */

/* Whether a worker is there and takes posts, and that who waits for it is told. */

#include <criterion/criterion.h>
#include <pthread.h>

#include "sys/clock.h"
#include "worker/presence.h"

static struct vly_shared shared;
static struct volley_worker worker = { .shared = &shared };

static void open_shared(void)
{
	vly_lock_init(&shared.lock);
	vly_cond_init(&shared.changed);
}

static void close_shared(void)
{
	vly_cond_fini(&shared.changed);
	vly_lock_fini(&shared.lock);
}

TestSuite(presence, .init = open_shared, .fini = close_shared, .timeout = 60);

static void expect(bool is_here, bool is_open)
{
	vly_lock_take(&shared.lock);
	vly_lock_assume(&worker.shared->lock);
	cr_assert_eq(vly_presence_is_here(&worker), is_here);
	cr_assert_eq(vly_presence_is_open(&worker), is_open);
	vly_lock_give(&shared.lock);
}

Test(presence, it_takes_posts_from_its_begin_until_it_closes)
{
	for (int round = 0; round < 2; round++) {
		vly_presence_init(&worker);
		expect(false, false);
		vly_presence_set(&worker, true);
		expect(true, true);
		vly_presence_close(&worker);
		expect(true, false);
		vly_presence_set(&worker, false);
		expect(false, false);
	}
}

static void *wait_for_it(void *arg)
{
	const bool *is_here = arg;

	vly_lock_take(&shared.lock);
	vly_lock_assume(&worker.shared->lock);
	while (vly_presence_is_here(&worker) != *is_here)
		vly_cond_wait(&shared.changed, &shared.lock);
	vly_lock_give(&shared.lock);
	return NULL;
}

/* Without a wake the thread sleeps on, and the test runs out of time. */
Test(presence, coming_and_going_wake_who_waits_for_it)
{
	for (int i = 0; i < 100; i++) {
		bool is_here = i % 2 == 0;
		pthread_t thread;

		cr_assert_eq(pthread_create(&thread, NULL, wait_for_it, &is_here), 0);
		if (i < 10)
			vly_clock_sleep_ns(1000000); /* most likely it waits by then */
		vly_presence_set(&worker, is_here);
		pthread_join(thread, NULL);
	}
}
