/* SPDX-License-Identifier: MIT */

/* Threads: starting them without signals, and the CPUs they run on. */

#include "sys/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "sys/clock.h"

/* A set holds 1,024 CPUs, and the kernel refuses one that does not hold all: room for 16,384. */
enum { N_SETS = 16 };

/* What others do meanwhile are a few instructions: 64 looks are enough where yielding helps. */
enum { N_YIELDS = 64, NAP_NS = 50000 };

int vly_thread_start(struct vly_thread *thread, vly_thread_fn main, void *arg)
{
	sigset_t all;
	sigset_t old;
	int r;

	/* The thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&thread->id, NULL, main, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void vly_thread_set_name(const char *name)
{
	char short_name[16]; /* with its end; Linux refuses longer ones */

	strlcpy(short_name, name, sizeof short_name);
	pthread_setname_np(pthread_self(), short_name);
}

int vly_thread_disable_cancel(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

void vly_thread_set_cancel(int state)
{
	pthread_setcancelstate(state, &state);
}

void vly_thread_join(struct vly_thread *thread)
{
	int state = vly_thread_disable_cancel(); /* it would stay unjoined */

	pthread_join(thread->id, NULL);
	vly_thread_set_cancel(state);
}

vly_thread_id vly_thread_get_id(void)
{
	return (vly_thread_id)pthread_self();
}

void vly_thread_yield(uint32_t n_looks)
{
	if (n_looks < N_YIELDS)
		sched_yield();
	else
		vly_clock_sleep_ns(NAP_NS);
}

/* NOLINTNEXTLINE(readability-function-size): CPU_SET() opens a block of its own */
int vly_thread_pin(uint32_t index)
{
	cpu_set_t all[N_SETS];
	cpu_set_t one[N_SETS];
	int n;

	if (sched_getaffinity(0, sizeof all, all) < 0)
		return -errno;
	n = (int)index % CPU_COUNT_S(sizeof all, all);
	CPU_ZERO_S(sizeof one, one);
	for (size_t cpu = 0; cpu < N_SETS * (size_t)CPU_SETSIZE; cpu++) {
		if (CPU_ISSET_S(cpu, sizeof all, all) && n-- == 0) {
			CPU_SET_S(cpu, sizeof one, one);
			break;
		}
	}
	return sched_setaffinity(0, sizeof one, one) < 0 ? -errno : 0;
}

uint32_t vly_thread_count_cpus(void)
{
	cpu_set_t set[N_SETS];

	if (sched_getaffinity(0, sizeof set, set) < 0)
		return 1;
	return (uint32_t)CPU_COUNT_S(sizeof set, set);
}

uint32_t vly_thread_get_cpus(uint32_t *ret_cpus, uint32_t n)
{
	cpu_set_t set[N_SETS];
	bool is_known = sched_getaffinity(0, sizeof set, set) >= 0;
	uint32_t n_found = 0;

	for (uint32_t cpu = 0; cpu < N_SETS * CPU_SETSIZE && n_found < n; cpu++)
		if (!is_known || CPU_ISSET_S(cpu, sizeof set, set))
			ret_cpus[n_found++] = cpu;
	return n_found;
}
