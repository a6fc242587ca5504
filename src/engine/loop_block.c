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
#include <sched.h>

#include <volley/mmsg.h>

#include "base/clock.h"
#include "engine/backlog.h"
#include "engine/loop.h"
#include "engine/pipeline.h"
#include "engine/worker.h"

/*
 * With answers waiting for room, sleep in ppoll instead, for both directions and no longer than
 * they may wait.
 */
static void wait_backlog(struct volley_worker *worker)
{
	struct vly_port *port = &worker->ports[0];
	int64_t ns = vly_backlog_get_timeout(worker, vly_clock_now_ns());
	struct timespec timeout = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	/* POLLOUT says nothing about ENOBUFS: see backlog.c. */
	struct pollfd fd = { .fd = port->fd,
			     .events = (short)(POLLIN | (port->retry_us > 0 ? 0 : POLLOUT)) };

	port->ready = volley_ppoll(&fd, 1, &timeout, NULL) > 0 && (fd.revents & POLLIN);
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
		sched_yield();
	volley_cancel_clear();
}

static void block_run(struct volley_worker *worker)
{
	while (!vly_worker_test_stop(worker)) {
		int n = 0;

		vly_worker_take_posts(worker);
		if (!vly_inbox_sleep(&worker->inbox)) {
			awake(worker);
			continue;
		}
		if (worker->counts.tx_queued > 0)
			wait_backlog(worker);
		else
			n = vly_pipeline_wait(worker);
		awake(worker);
		worker->counts.wakes++;
		if (n > 0)
			vly_pipeline_serve(worker, (uint32_t)n);
		if (worker->counts.tx_queued > 0) {
			vly_pipeline_run_once(worker, 1);
			vly_backlog_flush(worker, vly_clock_now_ns());
		}
	}
}

const struct vly_loop_ops vly_loop_block_ops = { .run = block_run };
