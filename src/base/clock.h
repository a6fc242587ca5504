/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_CLOCK_H
#define VLY_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Monotonic nanoseconds: 25 ns a call through the vDSO, so the data path asks once a volley. */
static inline uint64_t vly_clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

#endif
