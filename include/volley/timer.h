/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_TIMER_H
#define VOLLEY_TIMER_H

/**
 * @file timer.h
 * Timers of a worker: a function that it calls once, at a time, on its own thread.
 *
 * A timer fires between two volleys, never inside another callback, and never early: not before
 * CLOCK_MONOTONIC has gone on by its delay since it was set. At most 256 fire between two looks at
 * the sockets; the others follow behind those. In which order they fire that are due together is
 * not promised. What a timer sends leaves at the end of its turn, as what a post sends does.
 *
 * Setting, moving, clearing and firing take the same time for one timer as for a million (the
 * clock's 25 ns and a few memory accesses), and nothing is allocated. A worker for which no timer
 * is set is not woken and does not look at the clock. One that is busy looks at it once a turn; the
 * kernel's timer is touched only when the worker is about to sleep, and then only when none stands
 * there or it would end too late.
 *
 * How late: with the wait strategies `event` and `spin`, and on a libevent loop of your own, as
 * late as the kernel wakes the thread, some 0.01 ms on an idle machine; with `block` 0.05 ms more
 * (prctl(2), PR_SET_TIMERSLACK); with VOLLEY_WAIT_FD as late as your loop is. And by the callbacks
 * that run first.
 *
 * A drain goes on with timers until the worker stops. A stop ends them: the first thing it does is
 * to let no more of them fire, and after on_stop has returned the worker clears those that are
 * still set, unfired.
 */

#include <stdint.h>

#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_timer;
struct volley_worker;

/**
 * The function of a timer, on the worker's thread. The timer is not set any more: the function may
 * set it again, set and clear others, and free it.
 */
typedef void (*volley_timer_fn)(struct volley_worker *worker, struct volley_timer *timer,
				void *arg);

/**
 * A timer: yours, inside a struct of yours for instance. It stays where it is, and is not written
 * but by volley, from when it is set until it fires, is cleared, or its worker has stopped.
 */
struct volley_timer {
	volley_timer_fn fn;
	void *arg;
	uint64_t internal[4]; /* all zero: not set; so begin with zero */
};

#ifdef __cplusplus
}
#endif

#endif
