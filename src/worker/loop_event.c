/* SPDX-License-Identifier: MIT */

/*
 * Wait strategy "event": the worker sleeps in a libevent loop of its own, where users can have
 * timers and descriptors too; or has no thread and is served on the user's loop (at the end). The
 * only file that knows libevent.
 *
 * The base is made without locks (EVENT_BASE_FLAG_NOLOCK), so libevent's threading stays off for
 * the whole process; the one thing other threads do to this loop is to write the worker's
 * eventfd. libevent's wait does not return
 * for a signal, so the eventfd is also how a cancellation request gets through: it is the waker
 * of the worker's handle. It is level-triggered, and test_stop() and the inbox are looked at
 * after each drain of it and before
 * each wait, so a request at any instant is seen.
 *
 * A socket that is busy is taken out of epoll and simply read, as network drivers do under load:
 * while it is in, each datagram that the kernel has sent runs epoll's callback, which was 5 % of
 * the CPU at saturation. It goes back in as soon as it is found empty.
 *
 * libevent's callbacks only take notes; the data path runs after them, in one place.
 */

#include <errno.h>

#include <event2/event.h>

#include "base/mem.h"
#include "path/pipeline.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/clock.h"
#include "sys/wake.h"
#include "worker/loop.h"
#include "worker/turn.h"

struct vly_loop {
	struct event_base *base;
	struct event *wake;
	struct event *timer; /* the backlog's and the held packets' */
	struct event *readers[VLY_IO_N_PORTS];
	struct event *writers[VLY_IO_N_PORTS];
	bool polled[VLY_IO_N_PORTS]; /* the reader is out of the loop while the socket is busy */
	uint32_t n_polled;
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct vly_port *port = arg;

	(void)fd;
	(void)what;
	port->ready = true;
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
	(void)what;
	(void)arg;
	vly_wake_take(fd); /* an acknowledged cancellation may have done so already */
}

static void free_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

static void close_loop(struct volley_worker *worker)
{
	struct vly_loop *loop = worker->loop;

	if (loop == NULL)
		return;
	for (uint32_t i = 0; i < VLY_IO_N_PORTS; i++) {
		free_event(&loop->readers[i]);
		free_event(&loop->writers[i]);
	}
	if (loop->timer != NULL)
		event_free(loop->timer);
	if (loop->wake != NULL)
		event_free(loop->wake);
	if (loop->base != NULL)
		event_base_free(loop->base);
	vly_mem_free(loop);
	worker->loop = NULL;
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static struct event *add_reader(struct event_base *base, int fd, event_callback_fn fn, void *arg)
{
	struct event *event = event_new(base, fd, EV_READ | EV_PERSIST, fn, arg);

	if (event != NULL && event_add(event, NULL) < 0) {
		event_free(event);
		event = NULL;
	}
	return event;
}

/* A reader and a writer while the port has a socket; the reader is in the loop while it is read. */
static int update(struct volley_worker *worker, uint32_t i)
{
	struct vly_loop *loop = worker->loop;
	struct vly_port *port = &worker->ports[i];
	bool known = loop->readers[i] != NULL;

	loop->n_polled -= loop->polled[i];
	loop->polled[i] = false;
	if (port->fd < 0) {
		free_event(&loop->readers[i]);
		free_event(&loop->writers[i]);
		return 0;
	}
	if (!known)
		loop->readers[i] = event_new(loop->base, port->fd, EV_READ | EV_PERSIST,
					     on_readable, port);
	if (loop->writers[i] == NULL)
		loop->writers[i] = event_new(loop->base, port->fd, EV_WRITE, on_nothing, NULL);
	if (loop->readers[i] == NULL || loop->writers[i] == NULL)
		return -ENOMEM;
	if (!port->reads) {
		event_del(loop->readers[i]);
	} else if (event_add(loop->readers[i], NULL) < 0) {
		if (!known)
			return -ENOMEM;
		loop->polled[i] = true; /* until it can be added, after a pass */
		loop->n_polled++;
		port->ready = true;
	}
	return 0;
}

static int open_loop(struct volley_worker *worker)
{
	struct vly_loop *loop = vly_mem_new(worker->server->config.allocator, 1, sizeof *loop);

	if (loop == NULL)
		return -ENOMEM;
	worker->loop = loop;
	loop->base = new_base();
	if (loop->base == NULL)
		goto fail;
	loop->wake = add_reader(loop->base, worker->event_fd, on_wake, NULL);
	loop->timer = evtimer_new(loop->base, on_nothing, NULL);
	if (loop->wake == NULL || loop->timer == NULL)
		goto fail;
	for (uint32_t i = 0; i < worker->n_ports; i++)
		if (update(worker, i) < 0)
			goto fail;
	return 0;
fail:
	close_loop(worker);
	return -ENOMEM;
}

static void arm_timer(struct vly_loop *loop, int64_t ns)
{
	/* Rounded up: waking a microsecond early would find nothing to do and come back. */
	struct timeval timeout = { .tv_sec = ns / 1000000000,
				   .tv_usec = (ns % 1000000000 + 999) / 1000 };

	if (timeout.tv_usec >= 1000000)
		timeout = (struct timeval){ .tv_sec = timeout.tv_sec + 1 };
	event_add(loop->timer, &timeout);
}

/* Wake when the clock says so, or when there is room for answers that wait for it. */
static void arm_timers(struct volley_worker *worker)
{
	struct vly_loop *loop = worker->loop;
	int64_t ns = vly_worker_get_timeout(worker, vly_clock_now_ns());

	if (ns >= 0) /* else what was held has been answered meanwhile */
		arm_timer(loop, ns);
	for (uint32_t i = 0; i < worker->n_ports; i++)
		if (worker->ports[i].n_backlog > 0 && worker->ports[i].retry_us == 0)
			event_add(loop->writers[i], NULL);
}

/*
 * A socket is busy when a pass used up its budget or found this many. Getting it out of epoll and
 * back takes two calls, and each datagram sent meanwhile saves more than its part of them: with
 * eight to 24 in a pass the worker needed 5 to 8 % less CPU than with the socket left in.
 */
enum { N_BUSY = 8 };

static bool is_busy(const struct vly_port *port)
{
	return port->ready || port->n_taken >= N_BUSY;
}

/* After a pass: busy sockets leave epoll, and those that were found empty return to it. */
static void adapt(struct volley_worker *worker)
{
	struct vly_loop *loop = worker->loop;

	for (uint32_t i = 0; i < worker->n_ports; i++) {
		struct vly_port *port = &worker->ports[i];

		if (!port->reads)
			continue;
		if (!loop->polled[i] && is_busy(port)) {
			event_del(loop->readers[i]);
			loop->polled[i] = true;
			loop->n_polled++;
		} else if (loop->polled[i] && port->n_taken == 0) {
			/* Level-triggered: what came since the last look is reported. */
			if (event_add(loop->readers[i], NULL) < 0)
				continue;
			loop->polled[i] = false;
			loop->n_polled--;
		}
		port->ready = loop->polled[i];
	}
}

static void run_loop(struct volley_worker *worker)
{
	uint32_t n_budget = worker->server->config.n_budget;

	while (!vly_worker_test_stop(worker)) {
		int flags = EVLOOP_ONCE;

		vly_worker_take_inbox(worker);
		if (vly_worker_has_timers(worker))
			arm_timers(worker);
		if (!vly_inbox_sleep(&worker->inbox) || worker->loop->n_polled > 0)
			flags |= EVLOOP_NONBLOCK;
		/* A failing epoll is no reason to stop serving: look at every socket instead. */
		if (event_base_loop(worker->loop->base, flags) < 0)
			vly_pipeline_set_ready(worker);
		vly_inbox_awake(&worker->inbox);
		worker->counts.wakes++;
		vly_pipeline_run_once(worker, n_budget);
		adapt(worker);
		if (vly_worker_has_timers(worker))
			vly_worker_run_timers(worker, vly_clock_now_ns());
	}
}

static struct event_base *get_base(const struct volley_worker *worker)
{
	return worker->loop != NULL ? worker->loop->base : NULL;
}

const struct vly_loop_ops vly_loop_event_ops = {
	.open = open_loop,
	.run = run_loop,
	.close = close_loop,
	.update = update,
	.get_event_base = get_base,
};

/* On the user's loop --------------------------------------------------------------------------- */

/*
 * Two events on the user's base: the descriptor of loop_fd.c, which stands for all sockets and the
 * eventfd, and a timer for what is to be done by the clock. Both mean the same: take a turn. A turn
 * may be the last, and then these very events are gone when it returns.
 */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vly_turn_process(arg);
}

static void close_base(struct volley_worker *worker)
{
	struct vly_loop *loop = worker->loop;

	if (loop == NULL)
		return;
	if (loop->timer != NULL)
		event_free(loop->timer);
	if (loop->wake != NULL)
		event_free(loop->wake);
	vly_mem_free(loop);
	worker->loop = NULL;
	vly_loop_fd_close(worker);
}

static int open_base(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->server->config;
	struct vly_loop *loop = vly_mem_new(config->allocator, 1, sizeof *loop);
	int r = loop != NULL ? vly_loop_fd_open(worker) : -ENOMEM;

	if (r < 0) {
		vly_mem_free(loop);
		return r;
	}
	worker->loop = loop;
	loop->base = config->event_base;
	loop->wake = add_reader(loop->base, worker->poll_fd, on_turn, worker);
	loop->timer = evtimer_new(loop->base, on_turn, worker);
	if (loop->wake != NULL && loop->timer != NULL)
		return 0;
	close_base(worker);
	return -ENOMEM;
}

static void arm_base(struct volley_worker *worker)
{
	int64_t ns;

	vly_loop_fd_arm(worker);
	ns = vly_loop_fd_get_timeout(worker);
	if (ns >= 0)
		arm_timer(worker->loop, ns);
}

const struct vly_loop_ops vly_loop_base_ops = {
	.open = open_base,
	.close = close_base,
	.update = vly_loop_fd_update,
	.arm = arm_base,
	.get_event_base = get_base,
};
