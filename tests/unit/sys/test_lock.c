/* SPDX-License-Identifier: MIT */

/* A lock that excludes, and a condition that wakes everybody who waits. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "sys/cond.h"
#include "sys/lock.h"

TestSuite(lock, .timeout = 60);

enum { N = 3, N_ROUNDS = 2000 };

static struct vly_lock lock;
static struct vly_cond cond;
static uint64_t count;   /* the lock's */
static uint32_t n_waits; /* the lock's */
static bool is_open;     /* the lock's */

/* Reads and writes apart, and lets others in between where the lock would. */
static void *count_up(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_ROUNDS; i++) {
		uint64_t now;

		vly_lock_take(&lock);
		now = count;
		sched_yield();
		count = now + 1;
		vly_lock_give(&lock);
	}
	return NULL;
}

static void run(void *(*fn)(void *), pthread_t *threads)
{
	for (int i = 0; i < N; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, fn, NULL), 0);
}

static void join(const pthread_t *threads)
{
	for (int i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
}

Test(lock, it_excludes_others)
{
	pthread_t threads[N];

	vly_lock_init(&lock);
	run(count_up, threads);
	join(threads);
	cr_assert_eq(count, (uint64_t)N * N_ROUNDS);
	vly_lock_fini(&lock);
}

static void *wait_open(void *arg)
{
	(void)arg;
	vly_lock_take(&lock);
	n_waits++;
	while (!is_open)
		vly_cond_wait(&cond, &lock);
	count++; /* with the lock again */
	vly_lock_give(&lock);
	return NULL;
}

/* Were only one of them woken, the others would sleep on and the test run out of time. */
Test(lock, one_wake_is_for_all_who_wait)
{
	pthread_t threads[N];
	bool all_wait = false;

	vly_lock_init(&lock);
	vly_cond_init(&cond);
	run(wait_open, threads);
	while (!all_wait) {
		vly_lock_take(&lock); /* which waiting has given */
		all_wait = n_waits == N;
		vly_lock_give(&lock);
	}
	vly_lock_take(&lock);
	is_open = true;
	vly_cond_wake(&cond);
	cr_assert_eq(count, 0, "they wait for the lock, too");
	vly_lock_give(&lock);
	join(threads);
	cr_assert_eq(count, N);
	vly_cond_fini(&cond);
	vly_lock_fini(&lock);
}

static int get_cancel_state(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_setcancelstate(state, NULL);
	return state;
}

static void *lock_both(void *arg)
{
	struct vly_lock *first = arg;

	cr_assert_eq(get_cancel_state(), PTHREAD_CANCEL_ENABLE);
	vly_lock_take(first);
	cr_assert_eq(get_cancel_state(), PTHREAD_CANCEL_DISABLE);
	vly_lock_take(&lock);
	vly_lock_give(&lock);
	cr_assert_eq(get_cancel_state(), PTHREAD_CANCEL_DISABLE);
	vly_lock_give(first);
	cr_assert_eq(get_cancel_state(), PTHREAD_CANCEL_ENABLE);
	return NULL;
}

Test(lock, nobody_is_cancelled_who_has_one)
{
	struct vly_lock first;
	pthread_t thread;

	vly_lock_init(&first);
	vly_lock_init(&lock);
	cr_assert_eq(pthread_create(&thread, NULL, lock_both, &first), 0);
	pthread_join(thread, NULL);
	vly_lock_fini(&first);
	vly_lock_fini(&lock);
}
