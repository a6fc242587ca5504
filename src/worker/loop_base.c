/* SPDX-License-Identifier: MIT */

/*
 * Wait strategy "event" on the caller's event_base: a worker without a thread. Two events stand on
 * the base: the descriptor of loop_fd.c, which stands for all sockets and the eventfd, and a timer
 * for what is to be done by the clock; and a third one, the kernel's timer, once the user has set
 * one of volley's, for those of a base are coarse (loop_event.c). All mean the same: take a turn. A
 * turn may be the last, and then these very events are gone when it returns.
 */

#include "worker/loop_base.h"

#include <errno.h>

#include <event2/event.h>

#include "base/mem.h"
#include "worker/chores.h"
#include "worker/loop_fd.h"
#include "worker/polled.h"
#include "worker/timers.h"
#include "worker/turn.h"

struct vly_loop_base {
	struct event *wake;
	struct event *timer;
	struct event *alarm;
};

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vly_turn_process(arg);
}

static void close_base(struct volley_worker *worker)
{
	struct vly_loop_base *loop = worker->loop.base;

	if (loop == NULL)
		return;
	if (loop->alarm != NULL)
		event_free(loop->alarm);
	if (loop->timer != NULL)
		event_free(loop->timer);
	if (loop->wake != NULL)
		event_free(loop->wake);
	vly_mem_free(loop);
	worker->loop.base = NULL;
	vly_loop_fd_close(worker);
}

static int open_base(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;
	struct vly_loop_base *loop = vly_mem_new(config->allocator, 1, sizeof *loop);
	int r = loop != NULL ? vly_loop_fd_open(worker) : -ENOMEM;

	if (r < 0) {
		vly_mem_free(loop);
		return r;
	}
	worker->loop.base = loop;
	loop->wake = event_new(config->event_base, worker->loop.poll_fd, EV_READ | EV_PERSIST,
			       on_turn, worker);
	loop->timer = evtimer_new(config->event_base, on_turn, worker);
	if (loop->wake != NULL && loop->timer != NULL && event_add(loop->wake, NULL) == 0)
		return 0;
	close_base(worker);
	return -ENOMEM;
}

static int watch_timer(struct volley_worker *worker, int fd)
{
	struct vly_loop_base *loop = worker->loop.base;

	if (loop->alarm != NULL) /* it could not be added before */
		event_free(loop->alarm);
	loop->alarm = event_new(worker->shared->config.event_base, fd, EV_READ | EV_PERSIST,
				on_turn, worker);
	if (loop->alarm == NULL || event_add(loop->alarm, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* Nanoseconds until the base's own timer is to have a turn taken; -1: never. */
static int64_t get_timeout(struct volley_worker *worker)
{
	int r;

	if (vly_polled_has_any(worker))
		return 0;
	r = vly_timers_arm(worker);
	if (r == -EAGAIN)
		return 0;
	return r < 0 ? vly_chores_get_wait(worker) : vly_chores_get_timeout(worker);
}

static void arm_base(struct volley_worker *worker)
{
	struct timeval timeout;
	int64_t us;

	vly_loop_fd_arm(worker);
	us = get_timeout(worker);
	if (us < 0)
		return;
	/* Rounded up: waking a microsecond early would find nothing to do and come back. */
	us = (us + 999) / 1000;
	timeout = (struct timeval){ .tv_sec = us / 1000000, .tv_usec = us % 1000000 };
	event_add(worker->loop.base->timer, &timeout);
}

static struct event_base *get_base(const struct volley_worker *worker)
{
	return worker->loop.base != NULL ? worker->shared->config.event_base : NULL;
}

const struct vly_loop_ops vly_loop_base_ops = {
	.open = open_base,
	.close = close_base,
	.update = vly_loop_fd_update,
	.watch = vly_loop_fd_watch,
	.watch_timer = watch_timer,
	.arm = arm_base,
	.get_event_base = get_base,
};
