/* SPDX-License-Identifier: MIT */

/* Threads that start, and the one that started them. */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "path/gate.h"

TestSuite(gate, .timeout = 60);

enum { N = 4 };

static struct vly_gate gate;

static void *report_and_wait(void *report)
{
	vly_gate_post(&gate, (int)(intptr_t)report);
	return (void *)(intptr_t)vly_gate_wait(&gate);
}

static void start(pthread_t *threads, const int *reports)
{
	for (int i = 0; i < N; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, report_and_wait,
					    (void *)(intptr_t)reports[i]),
			     0);
}

/* Whoever went through before the gate was open has seen another verdict than this one. */
static void expect_verdict(const pthread_t *threads, int verdict)
{
	for (int i = 0; i < N; i++) {
		void *r;

		pthread_join(threads[i], &r);
		cr_assert_eq((int)(intptr_t)r, verdict);
	}
}

Test(gate, nobody_goes_before_the_verdict_and_all_get_it)
{
	pthread_t threads[N];

	vly_gate_init(&gate);
	for (int round = 0; round < 100; round++) {
		vly_gate_close(&gate);
		start(threads, (const int[N]){ 0 });
		cr_assert_eq(vly_gate_wait_all(&gate, N), 0);
		vly_gate_open(&gate, -EPROTO - round);
		expect_verdict(threads, -EPROTO - round);
	}
	vly_gate_fini(&gate);
}

Test(gate, one_failure_among_many_is_the_result)
{
	pthread_t threads[N];

	vly_gate_init(&gate);
	for (int failing = 0; failing < N; failing++) {
		int reports[N] = { 0 };

		reports[failing] = -EMFILE;
		vly_gate_close(&gate);
		start(threads, reports);
		cr_assert_eq(vly_gate_wait_all(&gate, N), -EMFILE);
		vly_gate_open(&gate, -EMFILE);
		expect_verdict(threads, -EMFILE);
	}
	vly_gate_fini(&gate);
}

Test(gate, the_first_failure_counts_and_a_gate_that_closes_forgets_it)
{
	vly_gate_init(&gate);
	vly_gate_close(&gate);
	vly_gate_post(&gate, 0);
	vly_gate_post(&gate, -EIO);
	vly_gate_post(&gate, -EPERM);
	cr_assert_eq(vly_gate_wait_all(&gate, 3), -EIO);
	vly_gate_open(&gate, -EIO);
	cr_assert_eq(vly_gate_wait(&gate), -EIO);
	vly_gate_close(&gate);
	cr_assert_not(gate.is_open);
	cr_assert_eq(gate.n_reported, 0);
	cr_assert_eq(vly_gate_wait_all(&gate, 0), 0);
	vly_gate_fini(&gate);
}

static void *report_late(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++)
		sched_yield();
	vly_gate_post(&gate, -EXDEV);
	return NULL;
}

Test(gate, the_starter_waits_for_the_last_one)
{
	pthread_t thread;

	vly_gate_init(&gate);
	vly_gate_close(&gate);
	vly_gate_post(&gate, 0);
	cr_assert_eq(pthread_create(&thread, NULL, report_late, NULL), 0);
	cr_assert_eq(vly_gate_wait_all(&gate, 2), -EXDEV);
	pthread_join(thread, NULL);
	vly_gate_fini(&gate);
}
