/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t bench_clock_get(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static inline uint64_t bench_now_ns(void)
{
	return bench_clock_get(CLOCK_MONOTONIC);
}

/* CPU time of the calling thread, user and system; the scheduler's own sum, not sampled ticks. */
static inline uint64_t bench_thread_cpu_ns(void)
{
	return bench_clock_get(CLOCK_THREAD_CPUTIME_ID);
}

#endif
