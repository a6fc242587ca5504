/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_TIMERS_H
#define VLY_WORKER_TIMERS_H

/* The user's timers (volley/timer.h) and the time of a pass. The worker's thread. */

#include <stdbool.h>
#include <stdint.h>

#include "path/worker.h"

/* With the worker; nothing can fail. In a forked child fini gives a descriptor back. */
void vly_timers_init(struct volley_worker *worker);
void vly_timers_fini(struct volley_worker *worker);

/*
 * From open on timers may be set; close clears those that are, and none can be set any more. The
 * kernel's timer goes with end, when the loop is closed.
 */
void vly_timers_open(struct volley_worker *worker);
void vly_timers_close(struct volley_worker *worker);
void vly_timers_end(struct volley_worker *worker);

/* Whether any is set. */
static inline bool vly_timers_has_any(const struct volley_worker *worker)
{
	return vly_wheel_has_any(&worker->timers.wheel);
}

/* Before a wait, and wherever else time goes by: whoever asks next for the time reads the clock. */
static inline void vly_timers_forget_now(struct volley_worker *worker)
{
	worker->timers.now_ns = 0;
}

/* Let those fire that are due, VLY_WHEEL_N_DUE at most, and send what they send. */
void vly_timers_run(struct volley_worker *worker);

/* Nanoseconds until the next run, or -1; 0: now. */
int64_t vly_timers_get_timeout(const struct volley_worker *worker, uint64_t now_ns);

/*
 * Before a wait that the kernel's timer ends (vly_loop_ops.watch_timer): have it end in time. 0;
 * -EAGAIN: it is time already, so do not wait; else the -errno with which the kernel refuses, and
 * then wait no longer than vly_timers_get_timeout().
 */
int vly_timers_arm(struct volley_worker *worker);

#endif
