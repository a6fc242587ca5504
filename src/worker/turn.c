/* SPDX-License-Identifier: MIT */

/*
 * Workers without a thread: the loop is the caller's (wait strategy "fd", or an event_base of the
 * caller's). What a worker's thread does in a row is cut into turns, and whoever has the turn is
 * the worker until it gives it back: whoever starts, each call of process, whoever stops.
 *
 *     start: | begin, arm |    process: | serve, arm | ...    stop: | finish, end |
 *
 * A mutex makes turns of one worker follow one another, so these calls may come from any thread;
 * the thread id marks the calls that come from inside, where waiting for the turn would be for
 * ever. Nothing here is attached to the cancellation module: no call sleeps, so there is nothing to
 * cancel, and a caller's own attachment is left alone. What others want of the worker is written
 * where a thread would find it too (command, inbox), and then its eventfd is.
 */

#include <errno.h>
#include <unistd.h>

#include "server/server.h"
#include "worker/loop.h"
#include "worker/turn.h"

void vly_turn_take(struct volley_worker *worker)
{
	vly_lock_take(&worker->turn);
	atomic_store_explicit(&worker->tid, vly_thread_get_id(),
			      memory_order_relaxed); /* for ourselves */
}

void vly_turn_give(struct volley_worker *worker)
{
	atomic_store_explicit(&worker->tid, 0, memory_order_relaxed);
	vly_lock_give(&worker->turn);
}

static bool is_mine(const struct volley_worker *worker)
{
	pid_t tid = atomic_load_explicit(&worker->tid, memory_order_relaxed);

	return tid != 0 &&
	       tid == vly_thread_get_id(); /* a system call, and mostly there is no need for it */
}

int vly_turn_start(struct volley_worker *worker)
{
	int r;

	vly_turn_take(worker);
	r = vly_worker_begin(worker);
	if (r >= 0) {
		worker->state = VLY_WORKER_RUNNING;
		vly_worker_set_present(worker, true);
		vly_loop_arm(worker);
	}
	vly_turn_give(worker);
	return r;
}

/* With the turn. */
static void leave(struct volley_worker *worker)
{
	vly_worker_finish(worker);
	vly_worker_end(worker);
	vly_worker_set_present(worker, false);
}

void vly_turn_stop(struct volley_worker *worker)
{
	vly_turn_take(worker);
	if (worker->state == VLY_WORKER_RUNNING)
		leave(worker);
	vly_turn_give(worker);
}

int vly_turn_process(struct volley_worker *worker)
{
	int r = -ESHUTDOWN;

	if (is_mine(worker))
		return -EDEADLK;
	vly_turn_take(worker);
	if (worker->state == VLY_WORKER_RUNNING) {
		r = vly_loop_fd_process(worker);
		if (r >= 0)
			vly_loop_arm(worker);
		else
			leave(worker);
	}
	vly_turn_give(worker);
	return r;
}

/* What the wait strategy "fd" gives to the outside --------------------------------------------- */

static struct volley_worker *get_worker(struct volley_server *server)
{
	return server->config.wait == VOLLEY_WAIT_FD ? &server->workers[0] : NULL;
}

int volley_server_get_fd(struct volley_server *server)
{
	struct volley_worker *worker = get_worker(server);

	return worker != NULL ? worker->poll_fd : -EINVAL;
}

int64_t volley_server_get_timeout_ns(struct volley_server *server)
{
	struct volley_worker *worker = get_worker(server);
	int64_t ns = -1;

	if (worker == NULL)
		return -1;
	if (is_mine(worker))
		return vly_loop_fd_get_timeout(worker);
	vly_lock_take(&worker->turn); /* only to look: nothing is called that could ask back */
	if (worker->state == VLY_WORKER_RUNNING)
		ns = vly_loop_fd_get_timeout(worker);
	vly_lock_give(&worker->turn);
	return ns;
}

int volley_server_process(struct volley_server *server)
{
	struct volley_worker *worker = get_worker(server);

	return worker != NULL ? vly_turn_process(worker) : -EINVAL;
}
