/* SPDX-License-Identifier: MIT */

/* Threads of ours: their name, their signals, their CPU. */

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/fault.h"
#include "sys/thread.h"

static struct {
	void *arg;
	char name[16];
	sigset_t mask;
	vly_thread_id id;
} seen;

static void *look(void *arg)
{
	seen.arg = arg;
	pthread_getname_np(pthread_self(), seen.name, sizeof seen.name);
	pthread_sigmask(SIG_BLOCK, NULL, &seen.mask);
	seen.id = vly_thread_get_id();
	return NULL;
}

static void *name_and_look(void *arg)
{
	vly_thread_set_name("volley-and-much-more");
	return look(arg);
}

static void expect_same_mask(const sigset_t *before)
{
	sigset_t after;

	pthread_sigmask(SIG_BLOCK, NULL, &after);
	for (int signo = 1; signo < 32; signo++)
		cr_assert_eq(sigismember(&after, signo), sigismember(before, signo), "%d", signo);
}

/* With no descriptor to be had, too. */
Test(thread, it_has_a_name_and_no_signals)
{
	struct rlimit limit, none;
	struct vly_thread thread;
	sigset_t before;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_assert_eq(vly_thread_start(&thread, name_and_look, &seen), 0);
	vly_thread_join(&thread);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(seen.arg, &seen);
	cr_assert_str_eq(seen.name, "volley-and-much");
	cr_assert(sigismember(&seen.mask, SIGTERM));
	cr_assert(sigismember(&seen.mask, SIGUSR1));
	cr_assert(sigismember(&seen.mask, SIGRTMIN + 1));
	expect_same_mask(&before);
}

Test(thread, one_that_cannot_start_changes_nothing)
{
	struct vly_thread thread;
	sigset_t before;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	fault_arm(FAULT_PTHREAD_CREATE, 1, EAGAIN);
	cr_assert_eq(vly_thread_start(&thread, look, NULL), -EAGAIN);
	cr_assert_eq(fault_disarm(), 1);
	expect_same_mask(&before);
}

Test(thread, each_has_a_number_of_its_own)
{
	struct vly_thread thread;

	cr_assert_neq(vly_thread_get_id(), 0);
	cr_assert_eq(vly_thread_get_id(), vly_thread_get_id());
	cr_assert_eq(vly_thread_start(&thread, look, NULL), 0);
	vly_thread_join(&thread);
	cr_assert_neq(seen.id, 0);
	cr_assert_neq(seen.id, vly_thread_get_id());
}

/* The index-th of those that it may use, from the first again behind the last. */
Test(thread, it_is_pinned_to_one_of_its_cpus)
{
	cpu_set_t all, one;
	uint32_t n = vly_thread_count_cpus();

	cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
	cr_assert_eq(n, (uint32_t)CPU_COUNT(&all));
	for (uint32_t i = 0; i < 2 * n; i++) {
		uint32_t n_before = 0;
		int cpu = 0;

		cr_assert_eq(sched_setaffinity(0, sizeof all, &all), 0);
		cr_assert_eq(vly_thread_pin(i), 0);
		cr_assert_eq(sched_getaffinity(0, sizeof one, &one), 0);
		cr_assert_eq(CPU_COUNT(&one), 1);
		for (; !CPU_ISSET(cpu, &one); cpu++)
			n_before += CPU_ISSET(cpu, &all) ? 1 : 0;
		cr_assert(CPU_ISSET(cpu, &all));
		cr_assert_eq(n_before, i % n);
	}
	cr_assert_eq(vly_thread_count_cpus(), 1);
}

Test(thread, its_cpus_come_in_order)
{
	uint32_t cpus[1024];
	uint32_t n = vly_thread_get_cpus(cpus, 1024);
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	cr_assert_eq(n, vly_thread_count_cpus());
	for (uint32_t i = 0; i < n; i++) {
		cr_assert(CPU_ISSET(cpus[i], &set));
		cr_assert(i == 0 || cpus[i] > cpus[i - 1]);
	}
	cr_assert_eq(vly_thread_get_cpus(cpus, 1), 1);
	fault_arm(FAULT_SCHED_GETAFFINITY, 1, EPERM);
	cr_assert_eq(vly_thread_get_cpus(cpus, 3), 3);
	cr_assert(cpus[0] == 0 && cpus[1] == 1 && cpus[2] == 2);
}
