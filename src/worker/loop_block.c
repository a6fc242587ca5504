/* SPDX-License-Identifier: MIT */

/*
 * Wait strategy "block": the worker sleeps in the receive call itself, so that a volley costs one
 * system call to receive and one to send. One socket only, for there is one place to sleep.
 *
 * What wakes it is a cancellation request: for a stop, and for a post while the worker sleeps.
 * The window of the cancellation point makes that exact: a request that comes before the call has
 * taken a datagram ends it,
 * one that comes later leaves the datagrams and ends the next.
 */

#include <errno.h>
#include <poll.h>

#include <volley/mmsg.h>

#include "path/pipeline.h"
#include "path/worker.h"
#include "sys/clock.h"
#include "worker/loop.h"

/* The worker's only socket: a listener that was closed may have left a free port before it. */
static struct vly_port *get_port(const struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->n_ports; i++)
		if (worker->ports[i].fd >= 0)
			return &worker->ports[i];
	return NULL;
}

/*
 * Sleep in ppoll instead. With answers waiting for room, or packets held, for both directions and
 * no longer than they may wait. Without them, where the receive call cannot sleep: there is no
 * socket, or nothing is read from it, or whoever made it made it non-blocking.
 */
static void wait_elsewhere(struct volley_worker *worker, struct vly_port *port)
{
	int64_t ns = vly_worker_get_timeout(worker, vly_clock_now_ns());
	struct timespec timeout = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	struct pollfd fd = { .fd = port != NULL ? port->fd : -1 };

	if (port != NULL && port->reads)
		fd.events |= POLLIN;
	/* POLLOUT says nothing about ENOBUFS: see backlog.c. */
	if (port != NULL && port->n_backlog > 0 && port->retry_us == 0)
		fd.events |= POLLOUT;
	if (fd.events == 0)
		fd.fd = -1; /* or its errors would be reported for ever */
	if (volley_ppoll(&fd, 1, ns < 0 ? NULL : &timeout, NULL) > 0 && port != NULL)
		port->ready = port->reads && (fd.revents & ~POLLOUT);
}

/*
 * After the wait, before any callback runs. A producer that saw us asleep is about to send a
 * request; it is taken in here, so that it cannot end a cancellation point of the user's callback
 * instead.
 */
static void awake(struct volley_worker *worker)
{
	if (!vly_inbox_awake(&worker->inbox))
		return;
	while (!volley_cancel_pending())
		vly_thread_yield();
	volley_cancel_clear();
}

static void block_run(struct volley_worker *worker)
{
	bool empty = false; /* the receive call came back with nothing: look before the next */

	while (!vly_worker_test_stop(worker)) {
		struct vly_port *port;
		int n = 0;

		vly_worker_take_inbox(worker);
		port = get_port(worker);
		if (!vly_inbox_sleep(&worker->inbox)) {
			awake(worker);
			continue;
		}
		if (empty || vly_worker_has_timers(worker) || port == NULL || !port->reads) {
			wait_elsewhere(worker, port);
			empty = false;
		} else {
			n = vly_pipeline_wait(worker, port);
			empty = n == 0;
		}
		awake(worker);
		worker->counts.wakes++;
		if (n > 0)
			vly_pipeline_serve(worker, port, (uint32_t)n);
		vly_pipeline_run_once(worker, 1);
		if (vly_worker_has_timers(worker))
			vly_worker_run_timers(worker, vly_clock_now_ns());
	}
}

const struct vly_loop_ops vly_loop_block_ops = { .run = block_run };
