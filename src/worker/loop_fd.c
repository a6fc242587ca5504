/* SPDX-License-Identifier: MIT */

/*
 * The loop of those who bring their own (wait strategy "fd", or a caller's event_base): the sockets
 * and the eventfd stand in an epoll descriptor, and that is all the outside needs to watch.
 *
 *     your loop: readable, or the deadline is over --> process --> arm --> your loop
 *
 * The contract is level-triggered. After arm, the descriptor is readable for as long as there is
 * something to do, and what has to be done by the clock is in vly_loop_fd_get_timeout(). A socket
 * is in epoll while it is open, so what the budget left unread keeps the descriptor readable; the
 * inbox announces its sleep, and what came before that is turned into a count in the eventfd;
 * room for waiting answers is asked for (EPOLLOUT) as long as they wait, and no longer.
 *
 * The descriptor lives as long as the server, because it stands in somebody's loop; between stop
 * and start there is nothing in it. Whoever calls has the worker's turn (turn.c).
 */

#include <errno.h>

#include "path/pipeline.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/clock.h"
#include "sys/poll.h"
#include "sys/wake.h"
#include "worker/loop.h"

/*
 * Have epoll know what a port wants: to be read, room for answers that wait, or nothing. The
 * descriptor is remembered, because a port may have lost its own when it is to be taken out, and
 * closing does not do that where others hold the socket too.
 */
int vly_loop_fd_update(struct volley_worker *worker, uint32_t i)
{
	struct vly_port *port = &worker->ports[i];
	uint32_t want = 0;
	int r;

	if (worker->watches && port->fd >= 0)
		want = (port->reads ? EPOLLIN : 0) |
		       (port->n_backlog > 0 && port->retry_us == 0 ? EPOLLOUT : 0);
	if (port->watched == 0)
		port->watched_fd = port->fd;
	r = vly_poll_set(worker->poll_fd, port->watched_fd, port->watched, want, port);
	if (want == 0)
		r = 0; /* what is not in there any more is out, too */
	if (r >= 0)
		port->watched = want;
	return r;
}

int vly_loop_fd_open(struct volley_worker *worker)
{
	int r = vly_poll_set(worker->poll_fd, worker->event_fd, 0, EPOLLIN, NULL);

	worker->watches = true;
	for (uint32_t i = 0; r >= 0 && i < worker->n_ports; i++)
		r = vly_loop_fd_update(worker, i);
	if (r < 0)
		vly_loop_fd_close(worker);
	return r;
}

/* Also half-open ones: what is not in there cannot be taken out, and that is fine. */
void vly_loop_fd_close(struct volley_worker *worker)
{
	worker->watches = false;
	for (uint32_t i = 0; i < worker->n_ports; i++)
		vly_loop_fd_update(worker, i);
	vly_poll_set(worker->poll_fd, worker->event_fd, EPOLLIN, 0, NULL);
}

/* The rest stays readable, and the kernel reports it first the next time. */
enum { N_AT_ONCE = 64 };

static void find_ready(struct volley_worker *worker)
{
	struct epoll_event events[N_AT_ONCE];
	int n = vly_poll_take(worker->poll_fd, events, N_AT_ONCE);

	/* A failing epoll is no reason to stop serving: look at every socket instead. */
	if (n < 0)
		vly_pipeline_set_ready(worker);
	for (int i = 0; i < n; i++) {
		struct vly_port *port = events[i].data.ptr;

		if (port != NULL)
			port->ready |= port->reads && events[i].events != EPOLLOUT;
		else /* Before inbox and command are looked at: a later post stays readable. */
			vly_wake_take(worker->event_fd);
	}
}

int vly_loop_fd_process(struct volley_worker *worker)
{
	uint32_t n;

	find_ready(worker);
	vly_inbox_awake(&worker->inbox);
	if (vly_worker_get_command(worker) != VLY_COMMAND_RUN)
		return -ESHUTDOWN;
	vly_worker_take_inbox(worker);
	worker->counts.wakes++;
	n = vly_pipeline_run_once(worker, worker->server->config.n_budget);
	if (vly_worker_has_timers(worker))
		vly_worker_run_timers(worker, vly_clock_now_ns());
	return (int)n;
}

void vly_loop_fd_arm(struct volley_worker *worker)
{
	/* If it fails, the answers' own deadline is the next look. */
	for (uint32_t i = 0; i < worker->n_ports; i++)
		vly_loop_fd_update(worker, i);
	if (!vly_inbox_sleep(&worker->inbox))
		vly_worker_wake(worker);
}

int64_t vly_loop_fd_get_timeout(struct volley_worker *worker)
{
	if (!vly_worker_has_timers(worker))
		return -1;
	return vly_worker_get_timeout(worker, vly_clock_now_ns());
}

const struct vly_loop_ops vly_loop_fd_ops = {
	.open = vly_loop_fd_open,
	.close = vly_loop_fd_close,
	.update = vly_loop_fd_update,
	.arm = vly_loop_fd_arm,
};
