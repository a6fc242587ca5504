/* SPDX-License-Identifier: MIT */

/* The clock. Nothing else of the library asks for the time. */

#include "sys/clock.h"

#include <errno.h>
#include <time.h>

#include "sys/raw.h"

uint64_t vly_clock_get_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

uint64_t vly_clock_get_unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void vly_clock_sleep_ns(uint64_t ns)
{
	const struct timespec timeout = { .tv_sec = (time_t)(ns / 1000000000),
					  .tv_nsec = (long)(ns % 1000000000) };
	int r = vly_raw_ppoll(&timeout);

	/* A filter that came later refuses it: whoever sleeps in a loop would be busy. */
	if (r < 0 && r != -EINTR)
		vly_raw_nanosleep(&timeout);
}
