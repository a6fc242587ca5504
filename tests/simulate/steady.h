/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_STEADY_H
#define TESTS_SIMULATE_STEADY_H

#include <stdint.h>

/*
 * A server that replies, and clients that ask, for as long as there are requests: most of what the
 * simulator gets through. A thread's main.
 */
void *steady_main(void *arg);

/* One request at a time, so many a second; 0: bursts, as fast as they are replied to. */
extern uint32_t steady_per_second;

#endif
