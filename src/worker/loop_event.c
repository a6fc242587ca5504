/* SPDX-License-Identifier: MIT */

/*
 * Wait strategy "event": the worker sleeps in a libevent loop of its own, where users can have
 * timers and descriptors too. This file, loop_new.c and loop_base.c are the only ones that know
 * libevent.
 *
 * The base is made without locks (EVENT_BASE_FLAG_NOLOCK), so libevent's threading stays off for
 * the whole process; the one thing other threads do to this loop is to write the worker's eventfd.
 * libevent's wait does not return for a signal, so the eventfd is also how a cancellation request
 * gets through: it is the waker of the worker's handle. It is level-triggered, and command and mail
 * are looked at after each drain of it and before each wait, so a request at any instant is seen.
 *
 * libevent's callbacks only take notes; the data path runs after them, in one place.
 */

#include "worker/loop_event.h"

#include <errno.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/pipeline.h"
#include "sys/clock.h"
#include "worker/chores.h"
#include "worker/loop_new.h"
#include "worker/polled.h"
#include "worker/timers.h"

struct vly_loop_event {
	struct event_base *base;
	struct event *wake;
	struct event *timer; /* the backlog's and the held packets' */
	struct event *alarm; /* the kernel's timer, for those of the user; NULL: none was set yet */
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vly_socks_set_ready(arg, true);
}

/* The wait is over: that is all these have to say. */
static void on_nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vly_mail_clear(arg); /* an acknowledged cancellation may have done so already */
}

static void free_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

/* Sockets ------------------------------------------------------------------------------------- */

static void forget(struct volley_worker *worker, struct vly_sock *sock)
{
	vly_polled_set(worker, sock, false);
	free_event(&sock->watch.reader);
	free_event(&sock->watch.writer);
}

/* A reader and a writer while there is a descriptor; the reader is in the loop while it is read. */
static int update(struct volley_worker *worker, struct vly_sock *sock)
{
	struct vly_loop_event *loop = worker->loop.event;
	struct vly_watch *watch = &sock->watch;
	bool known = watch->reader != NULL;

	if (sock->fd < 0) {
		forget(worker, sock);
		return 0;
	}
	vly_polled_set(worker, sock, false);
	if (!known)
		watch->reader = event_new(loop->base, sock->fd, EV_READ | EV_PERSIST, on_readable,
					  sock);
	if (watch->writer == NULL)
		watch->writer = event_new(loop->base, sock->fd, EV_WRITE, on_nothing, NULL);
	if (watch->reader == NULL || watch->writer == NULL)
		return -ENOMEM;
	if (!sock->reads) {
		event_del(watch->reader);
	} else if (event_add(watch->reader, NULL) < 0) {
		if (!known)
			return -ENOMEM;
		vly_polled_set(worker, sock, true); /* until it can be added, after a pass */
	}
	return 0;
}

static int watch(struct volley_worker *worker, struct vly_sock *sock)
{
	struct event *reader = sock->watch.reader;
	int r = sock->watch.is_polled ? event_del(reader) : event_add(reader, NULL);

	(void)worker;
	return r < 0 ? -ENOMEM : 0;
}

/*
 * Getting a busy socket out of epoll and back takes two calls, and each datagram sent meanwhile
 * saves more than its part of them: with eight to 24 in a pass the worker needed 5 to 8 % less CPU
 * than with the socket left in.
 */
enum { N_BUSY = 8 };

/* Life ---------------------------------------------------------------------------------------- */

static void close_loop(struct volley_worker *worker)
{
	struct vly_loop_event *loop = worker->loop.event;
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);

	if (loop == NULL)
		return;
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index))
		forget(worker, sock);
	free_event(&loop->alarm);
	free_event(&loop->timer);
	free_event(&loop->wake);
	vly_loop_free(loop->base);
	vly_mem_free(loop);
	worker->loop.event = NULL;
}

static int fill_loop(struct volley_worker *worker, struct vly_loop_event *loop)
{
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	int r = vly_loop_new(worker, &loop->base);

	if (r < 0)
		return r;
	loop->wake = event_new(loop->base, vly_mail_get_fd(&worker->mail), EV_READ | EV_PERSIST,
			       on_wake, &worker->mail);
	loop->timer = evtimer_new(loop->base, on_nothing, NULL);
	if (loop->wake == NULL || loop->timer == NULL || event_add(loop->wake, NULL) < 0) {
		vly_log_write_refused(&worker->shared->config, "an event", -ENOMEM);
		return -ENOMEM;
	}
	for (; r >= 0 && sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index))
		r = update(worker, sock);
	return r;
}

static int open_loop(struct volley_worker *worker)
{
	int r;

	worker->loop.event = vly_mem_new(worker->shared->config.allocator, 1,
					 sizeof *worker->loop.event);
	if (worker->loop.event == NULL)
		return -ENOMEM;
	r = fill_loop(worker, worker->loop.event);
	if (r < 0)
		close_loop(worker);
	return r;
}

static void arm_timer(struct vly_loop_event *loop, int64_t ns)
{
	/* Rounded up: waking a microsecond early would find nothing to do and come back. */
	int64_t us = (ns + 999) / 1000;
	struct timeval timeout = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };

	event_add(loop->timer, &timeout);
}

/* Wake when the clock says so, or when there is room for replies that wait for it. */
static void arm_timers(struct volley_worker *worker)
{
	struct vly_sock *sock = vly_socks_get_backlogged(&worker->socks);
	int64_t ns = vly_chores_get_timeout(worker);

	if (ns >= 0) /* else what was held has been replied to meanwhile */
		arm_timer(worker->loop.event, ns);
	for (; sock != NULL; sock = vly_socks_get_next_backlogged(sock))
		if (vly_queue_has_pollout(&sock->backlog))
			event_add(sock->watch.writer, NULL);
}

/*
 * A descriptor for the user's timers: libevent's own are those of epoll_wait(), late by up to 4 ms
 * (the wait is in milliseconds, from a clock of that grain), and its EVENT_BASE_FLAG_PRECISE_TIMER
 * costs 0.7 us at each wake while any timer is pending, for it sets a timerfd each time.
 */
static int watch_timer(struct volley_worker *worker, int fd)
{
	struct vly_loop_event *loop = worker->loop.event;

	free_event(&loop->alarm); /* it could not be added before */
	loop->alarm = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_nothing, NULL);
	if (loop->alarm == NULL || event_add(loop->alarm, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* Before a wait: whether to wait. Without the kernel's timer libevent's has to do. */
static bool arm_alarm(struct volley_worker *worker)
{
	int r = vly_timers_arm(worker);

	if (r < 0 && r != -EAGAIN)
		arm_timer(worker->loop.event, vly_chores_get_wait(worker));
	return r != -EAGAIN;
}

/*
 * A failing epoll is no reason to stop serving: look at every socket instead. The next wait would
 * fail at once, too.
 */
static void wait(struct volley_worker *worker, int flags)
{
	if (event_base_loop(worker->loop.event->base, flags) >= 0)
		return;
	if (!(flags & EVLOOP_NONBLOCK))
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS);
	vly_socks_set_all_ready(&worker->socks);
}

static void run_loop(struct volley_worker *worker)
{
	uint32_t n_budget = worker->shared->config.n_budget;

	assert(vly_self_is_me(&worker->self));
	while (vly_chores_take_command(worker) < VLY_COMMAND_DRAIN) {
		int flags = EVLOOP_ONCE;

		vly_chores_take_mail(worker);
		if (vly_chores_has_timers(worker))
			arm_timers(worker);
		if (!vly_chores_sleep(worker) || vly_polled_has_any(worker) || !arm_alarm(worker))
			flags |= EVLOOP_NONBLOCK;
		vly_timers_forget_now(worker);
		wait(worker, flags);
		vly_mail_awake(&worker->mail);
		vly_ledger_count_wake(&worker->books);
		vly_polled_run(worker);
		vly_pipeline_run_once(worker, n_budget);
		vly_polled_adapt(worker, N_BUSY);
		vly_chores_run_timers(worker);
	}
}

static struct event_base *get_base(const struct volley_worker *worker)
{
	return worker->loop.event != NULL ? worker->loop.event->base : NULL;
}

const struct vly_loop_ops vly_loop_event_ops = {
	.open = open_loop,
	.run = run_loop,
	.close = close_loop,
	.update = update,
	.watch = watch,
	.watch_timer = watch_timer,
	.get_event_base = get_base,
};
