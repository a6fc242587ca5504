/* SPDX-License-Identifier: MIT */

/* A round: one errand for all workers, whose end somebody waits for. */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "worker/errand.h"

enum { N = 3 };

static struct vly_shared shared;
static struct volley_worker workers[N];
static struct vly_round round_of_all;

static void open_workers(void)
{
	vly_lock_init(&shared.lock);
	vly_cond_init(&shared.changed);
	for (uint32_t i = 0; i < N; i++) {
		workers[i].shared = &shared;
		workers[i].index = i;
		cr_assert_eq(vly_mail_init(&workers[i].mail, VLY_MAIL_IN_LOOP), 0);
	}
}

static void close_workers(void)
{
	for (uint32_t i = 0; i < N; i++)
		vly_mail_fini(&workers[i].mail);
	vly_cond_fini(&shared.changed);
	vly_lock_fini(&shared.lock);
}

TestSuite(errand, .init = open_workers, .fini = close_workers, .timeout = 60);

/* Each says what stands for it. */
static int give_result(struct volley_worker *worker, void *arg)
{
	int *results = arg;
	int r = results[worker->index];

	results[worker->index] = 1; /* done */
	return r;
}

static void send_to_all(int *results)
{
	round_of_all = (struct vly_round){ .fn = give_result, .arg = results, .n_left = N };
	vly_lock_take(&shared.lock);
	for (uint32_t i = 0; i < N; i++) {
		vly_lock_assume(&workers[i].shared->lock);
		vly_errand_send(&workers[i], &round_of_all);
	}
	vly_lock_give(&shared.lock);
}

/* As the worker does it: what is in the mail is the errand's node. */
static void run(uint32_t i)
{
	struct vly_inbox_node *node = vly_mail_take(&workers[i].mail);

	cr_assert_eq(node, &workers[i].errand.node);
	cr_assert_eq(node->kind, VLY_MAIL_ERRAND);
	cr_assert_null(node->next);
	vly_errand_run(&workers[i]);
}

Test(errand, each_worker_does_it_once)
{
	int results[N] = { 0 };

	send_to_all(results);
	for (uint32_t i = 0; i < N; i++) {
		cr_assert_eq(round_of_all.n_left, N - i);
		cr_assert_eq(results[i], 0);
		run(i);
		cr_assert_eq(results[i], 1);
	}
	cr_assert_eq(round_of_all.n_left, 0);
	cr_assert_eq(round_of_all.result, 0);
}

Test(errand, one_failure_is_the_rounds_whoever_comes_later)
{
	for (int failing = 0; failing < N; failing++) {
		int results[N] = { 0 };

		results[failing] = -EMFILE;
		send_to_all(results);
		for (uint32_t i = 0; i < N; i++)
			run(i);
		cr_assert_eq(round_of_all.result, -EMFILE, "worker %d", failing);
		cr_assert_eq(round_of_all.n_left, 0);
	}
}

static void *run_all(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < N; i++)
		vly_errand_run(&workers[i]);
	return NULL;
}

/* Without a wake the wait goes on, and the test runs out of time. */
Test(errand, the_last_one_wakes_who_waits_for_the_end)
{
	for (int i = 0; i < 50; i++) {
		int results[N] = { 0 };
		pthread_t thread;

		send_to_all(results);
		vly_lock_take(&shared.lock);
		cr_assert_eq(pthread_create(&thread, NULL, run_all, NULL), 0);
		while (round_of_all.n_left > 0)
			vly_cond_wait(&shared.changed, &shared.lock);
		vly_lock_give(&shared.lock);
		pthread_join(thread, NULL);
		for (uint32_t k = 0; k < N; k++)
			cr_assert_eq(results[k], 1);
	}
}
