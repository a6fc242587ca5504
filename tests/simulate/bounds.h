/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_BOUNDS_H
#define TESTS_SIMULATE_BOUNDS_H

/* What the headers promise of time, and the callbacks that a promise has to wait for. */

#include <stdbool.h>
#include <stdint.h>

enum bound {
	BOUND_STOP,   /* volley_server_stop(), close */
	BOUND_SIGNAL, /* a second signal, which run takes */
	BOUND_DRAIN,  /* beside config.drain_us */
	BOUND_CLOSE,  /* volley_listener_close(), beside config.drain_us */
	BOUND_LISTEN, /* a socket more, on a running server */
	BOUND_POST,   /* until it has run everywhere */
	BOUND_LEAVE,  /* what was taken is on its way, beside config.backlog_us */
	BOUND_HOLD,   /* a token is stale, beside config.hold_us */
	BOUND_TIMER,  /* a timer fires, beside its slack */
	BOUND_N
};

void bounds_begin(void);
/* From here on they are judged. */
void bounds_start(void);
/* Around each callback, hook and post. Returns what leave is to be given. */
uint32_t bounds_enter(void);
uint32_t bounds_enter_signal(void); /* around on_signal, in which run hears nothing */
void bounds_leave(uint32_t slot);

/* No pause and no failing call makes anything late. */
bool bounds_are_judged(void);
/* Now is not later than `since_ns`, plus what the table says, plus `more_ns`, and callbacks. */
void bounds_judge(enum bound bound, uint64_t since_ns, uint64_t more_ns);

#endif
