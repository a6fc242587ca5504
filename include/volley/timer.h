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
 * late as the kernel wakes the thread, less than 0.1 ms on a machine that has time; with `block`
 * 0.05 ms more (prctl(2), PR_SET_TIMERSLACK); with VOLLEY_WAIT_FD as late as your loop is. And by
 * the callbacks that run first.
 *
 * A drain goes on with timers until the worker stops. A stop ends them: the first thing it does is
 * to clear those that are still set, unfired, so on_stop may free them. An on_start that fails
 * clears what it frees itself.
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
 * but by volley, from when it is set until it fires or is cleared, at the latest before on_stop.
 */
struct volley_timer {
	volley_timer_fn fn;
	void *arg;
	uint64_t internal[4]; /* all zero: not set; so begin with zero */
};

/**
 * Set a timer, or move one that is set, to fire once.
 *
 * With a delay of 0 it fires in the next turn, not in this one.
 *
 * With some slack the worker may let it fire by so much later, so that timers share a wake. A busy
 * worker, or one that another timer wakes, fires it as soon as its delay is over.
 *
 * With the wait strategy `event`, and with config.event_base, the first call of each start opens a
 * timerfd. In on_start, its failure is that of the start, if your hook returns it.
 *
 * @param worker    the one that the callback or hook was given
 * @param timer     with a function; not set, or set for this worker
 * @param delay_ns  from now (the clock is read); one that ends beyond 2^64 ns never ends
 * @param slack_ns  0: none
 * @return 0; -EINVAL for a NULL, or a timer without a function; -EPERM when the caller is not on
 *         the worker's thread, a handler for instance, or where the loop is yours outside of its
 *         turns (volley_server_post() is the way in); -ESHUTDOWN when the worker is stopping, in
 *         on_stop too; -EMFILE, -ENFILE or -ENOMEM for lack of the timerfd, or with what the system
 *         refuses it; -ESRCH in a child; the log hook gets a sentence but for -ESHUTDOWN. On
 *         failure the timer is as it was.
 * @threads  the worker's: in callbacks, hooks, posts and timers, and events on its event_base; not
 *           a handler's
 * @blocks   never
 * @kernel   timerfd_create(2), Linux 2.6.25
 */
VOLLEY_API int volley_worker_set_timer(struct volley_worker *worker, struct volley_timer *timer,
				       uint64_t delay_ns, uint64_t slack_ns);

/**
 * Clear a timer: it does not fire, also when it is due in this very turn. One that is not set stays
 * so.
 *
 * @param worker  the one for which it was set
 * @param timer   a timer, or NULL
 * @threads  as volley_worker_set_timer(); elsewhere it does nothing, and the log hook gets a
 *           sentence
 * @blocks   never
 */
VOLLEY_API void volley_worker_clear_timer(struct volley_worker *worker, struct volley_timer *timer);

/**
 * What CLOCK_MONOTONIC says in this pass of the worker: between two waits the clock is read once,
 * by the first who asks, and again before timers fire. In a timer's function it is not before the
 * time that the timer was set to.
 *
 * @param worker  the one that the callback or hook was given
 * @return nanoseconds; off the worker's thread those of now; 0 for NULL
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint64_t volley_worker_get_now_ns(struct volley_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
