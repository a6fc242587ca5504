/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_CLOCK_H
#define VLY_SYS_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds: 25 ns a call through the vDSO, so the data path asks once a volley. */
uint64_t vly_clock_get_ns(void);

/* Unix time, in milliseconds: for people, not for deadlines. */
uint64_t vly_clock_get_unix_ms(void);

/* Pause the calling thread. Ends by time and for nothing else that matters. */
void vly_clock_sleep_ns(uint64_t ns);

/* The pause between two looks at what other threads have done; a bound is late by so much. */
#define VLY_CLOCK_LOOK_NS UINT64_C(1000000)

/* Microseconds, the unit of the configs, as nanoseconds, the unit of the clock. */
static inline uint64_t vly_clock_convert_us(uint64_t us)
{
	return us * UINT64_C(1000);
}

#endif
