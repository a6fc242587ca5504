/* SPDX-License-Identifier: MIT */

/*
 * The user's timers: a wheel (data/wheel.c), a clock, and a timer of the kernel's.
 *
 *     pass: | receive, call back, send | fire what is due | mail |  before a wait: arm  | wait
 *
 * They fire at the end of a pass, by one look at the clock, and what they set for now fires in the
 * next one: so between two receives it is one look's, which the wheel bounds.
 *
 * How a wait ends in time is the loop's: by its timeout (block, fd), not at all (spin), or by the
 * kernel's timer, a descriptor in the loop's epoll (event, a base of the caller's). That one is
 * made when the first timer is set, so a program without any has no descriptor and no call more. It
 * is set when the worker is about to wait, and not each time a timer is: if it stands at or before
 * what is wanted, it stays, for timers that are moved on again and again (an idle timeout, with
 * each datagram) would else cost a call each time. The price is a wake for nothing when its old
 * time comes. If no timer is set any more, it is taken back, and then nothing wakes the worker.
 *
 * The time of a pass is for programs that ask often: one look at the clock serves all of them,
 * until the next wait.
 */

#include "worker/timers.h"

#include <errno.h>

#include <volley/timer.h>

#include "base/log.h"
#include "path/drain.h"
#include "path/pipeline.h"
#include "sys/clock.h"
#include "sys/timerfd.h"
#include "worker/caller.h"
#include "worker/loop_ops.h"

void vly_timers_init(struct volley_worker *worker)
{
	vly_wheel_init(&worker->timers.wheel);
	worker->timers.fd = -1;
	worker->timers.armed_ns = UINT64_MAX;
}

static void close_fd(struct vly_timers *timers)
{
	vly_timerfd_close(timers->fd);
	timers->fd = -1;
	timers->armed_ns = UINT64_MAX;
}

void vly_timers_fini(struct volley_worker *worker)
{
	close_fd(&worker->timers);
}

void vly_timers_open(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self) && !vly_timers_has_any(worker));
	worker->timers.is_open = true;
	worker->timers.now_ns = 0;
}

void vly_timers_close(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	worker->timers.is_open = false;
	vly_wheel_reset(&worker->timers.wheel);
}

void vly_timers_end(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self) && !vly_timers_has_any(worker));
	close_fd(&worker->timers);
}

/* Firing --------------------------------------------------------------------------------------- */

static void run(struct volley_worker *worker, struct volley_timer *timer)
{
	timer->fn(worker, timer, timer->arg); /* which may free it */
	vly_arena_end_callback(&worker->arena);
}

/* A stop ends it after any of them: those that are left are due, and cleared by close. */
void vly_timers_run(struct volley_worker *worker)
{
	struct vly_timers *timers = &worker->timers;
	struct volley_timer *timer;

	assert(vly_self_is_allowed(&worker->self));
	if (!timers->is_open)
		return;
	timers->now_ns = vly_clock_get_ns();
	vly_wheel_take(&timers->wheel, timers->now_ns);
	while (!vly_drain_is_over(worker->shared) &&
	       (timer = vly_wheel_pop(&timers->wheel)) != NULL)
		run(worker, timer);
	vly_pipeline_leave(worker);
}

int64_t vly_timers_get_timeout(const struct volley_worker *worker, uint64_t now_ns)
{
	uint64_t wake_ns = vly_wheel_get_wake(&worker->timers.wheel);

	if (wake_ns == UINT64_MAX)
		return -1;
	if (wake_ns <= now_ns)
		return 0;
	return wake_ns - now_ns < INT64_MAX ? (int64_t)(wake_ns - now_ns) : INT64_MAX;
}

/* Whether the kernel's timer has to be set anew for a wake at that time. */
static bool is_off(const struct vly_timers *timers, uint64_t wake_ns)
{
	bool is_over = timers->armed_ns <= timers->now_ns;

	return wake_ns != timers->armed_ns &&
	       (wake_ns < timers->armed_ns || wake_ns == UINT64_MAX || is_over);
}

int vly_timers_arm(struct volley_worker *worker)
{
	struct vly_timers *timers = &worker->timers;
	uint64_t wake_ns;
	int r;

	assert(vly_self_is_me(&worker->self));
	if (VLY_LIKELY(timers->fd < 0))
		return 0;
	wake_ns = vly_wheel_get_wake(&timers->wheel);
	if (wake_ns <= timers->now_ns)
		return -EAGAIN;
	if (!is_off(timers, wake_ns))
		return 0;
	r = vly_timerfd_set(timers->fd, wake_ns);
	timers->armed_ns = r >= 0 ? wake_ns : UINT64_MAX;
	return r;
}

/* The user's ---------------------------------------------------------------------------------- */

/* The kernel's timer, if this loop waits by one. */
static int open_fd(struct volley_worker *worker)
{
	struct vly_timers *timers = &worker->timers;
	int r;

	if (timers->fd >= 0 || !vly_loop_has_timer(worker))
		return 0;
	r = vly_timerfd_open();
	if (r >= 0) {
		timers->fd = r;
		r = vly_loop_watch_timer(worker, timers->fd);
	}
	if (r < 0) {
		close_fd(timers);
		vly_log_write_refused(&worker->shared->config,
				      "a timer (timerfd_create, timerfd_settime and epoll_ctl, a "
				      "descriptor; block, spin and fd have none)",
				      r);
	}
	return r;
}

static uint64_t add_up(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns > UINT64_MAX - b_ns ? UINT64_MAX : a_ns + b_ns;
}

/*
 * From the clock, and not from the time of the pass, which may be long over: a timer would fire
 * early.
 */
int volley_worker_set_timer(struct volley_worker *worker, struct volley_timer *timer,
			    uint64_t delay_ns, uint64_t slack_ns)
{
	uint64_t now_ns, at_ns;
	int r;

	if (VLY_UNLIKELY(worker == NULL))
		return -EINVAL;
	r = vly_caller_check(worker, "volley_worker_set_timer");
	if (VLY_UNLIKELY(r < 0))
		return r;
	if (VLY_UNLIKELY(timer == NULL || timer->fn == NULL)) {
		vly_log_write(&worker->shared->config, VOLLEY_LOG_ERROR,
			      "volley_worker_set_timer: a timer needs its function (timer.fn)");
		return -EINVAL;
	}
	if (VLY_UNLIKELY(!worker->timers.is_open))
		return -ESHUTDOWN;
	r = open_fd(worker);
	if (VLY_UNLIKELY(r < 0))
		return r;
	now_ns = vly_clock_get_ns();
	at_ns = add_up(now_ns, delay_ns);
	vly_wheel_set(&worker->timers.wheel, timer, now_ns, at_ns, add_up(at_ns, slack_ns));
	return 0;
}

void volley_worker_clear_timer(struct volley_worker *worker, struct volley_timer *timer)
{
	if (VLY_UNLIKELY(worker == NULL || timer == NULL))
		return;
	if (VLY_LIKELY(vly_caller_check(worker, "volley_worker_clear_timer") >= 0))
		vly_wheel_clear(&worker->timers.wheel, timer);
}

uint64_t volley_worker_get_now_ns(struct volley_worker *worker)
{
	if (VLY_UNLIKELY(worker == NULL))
		return 0;
	if (VLY_UNLIKELY(!vly_self_is_me(&worker->self)))
		return vly_clock_get_ns();
	if (worker->timers.now_ns == 0)
		worker->timers.now_ns = vly_clock_get_ns();
	return worker->timers.now_ns;
}
