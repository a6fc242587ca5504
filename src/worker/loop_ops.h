/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_OPS_H
#define VLY_WORKER_LOOP_OPS_H

/*
 * For those who write a loop around vly_pipeline_run_once(), one for each wait strategy. All on the
 * worker's thread. loop.h is for those who choose one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "path/worker.h"

struct vly_loop_ops {
	/* Make what waiting needs. 0 or -errno. NULL: nothing is needed. */
	int (*open)(struct volley_worker *worker);
	/* Serve until the worker's command says otherwise. NULL: the caller's loop does. */
	void (*run)(struct volley_worker *worker);
	void (*close)(struct volley_worker *worker);
	/* A socket came, is about to go (fd -1), or is read no longer. 0 or -errno. */
	int (*update)(struct volley_worker *worker, struct vly_sock *sock);
	/* A socket has become polled (polled.c), or is none any more. 0 or -errno. */
	int (*watch)(struct volley_worker *worker, struct vly_sock *sock);
	/*
	 * The kernel's timer (timers.c) is to end waits until close. 0 or -errno. NULL: this loop
	 * waits no longer than vly_timers_get_timeout(), and needs none.
	 */
	int (*watch_timer)(struct volley_worker *worker, int fd);
	/* Without run, at the end of a turn: see to it that what is to be done will be noticed. */
	void (*arm)(struct volley_worker *worker);
	struct event_base *(*get_event_base)(const struct volley_worker *worker);
};

/* Whether the loop is the caller's, and so the worker has no thread (turn.c). */
static inline bool vly_loop_is_callers(const struct volley_worker *worker)
{
	return worker->loop.ops->run == NULL;
}

/* Set once, at first to none. */
static inline void vly_loop_set(struct volley_worker *worker, const struct vly_loop_ops *ops)
{
	worker->loop.ops = ops;
	worker->loop.poll_fd = -1;
}

static inline void vly_loop_run(struct volley_worker *worker)
{
	worker->loop.ops->run(worker);
}

static inline void vly_loop_arm(struct volley_worker *worker)
{
	worker->loop.ops->arm(worker);
}

static inline struct event_base *vly_loop_get_base(const struct volley_worker *worker)
{
	const struct vly_loop_ops *ops = worker->loop.ops;

	return ops->get_event_base != NULL ? ops->get_event_base(worker) : NULL;
}

static inline int vly_loop_open(struct volley_worker *worker)
{
	int r = worker->loop.ops->open != NULL ? worker->loop.ops->open(worker) : 0;

	worker->loop.is_open = r >= 0;
	return r;
}

static inline void vly_loop_close(struct volley_worker *worker)
{
	worker->loop.is_open = false;
	if (worker->loop.ops->close != NULL)
		worker->loop.ops->close(worker);
}

/* A loop that is not open learns of all sockets when it opens. */
static inline int vly_loop_update(struct volley_worker *worker, struct vly_sock *sock)
{
	bool wants = worker->loop.is_open && worker->loop.ops->update != NULL;

	return wants ? worker->loop.ops->update(worker, sock) : 0;
}

static inline int vly_loop_watch(struct volley_worker *worker, struct vly_sock *sock)
{
	return worker->loop.ops->watch(worker, sock);
}

static inline bool vly_loop_has_timer(const struct volley_worker *worker)
{
	return worker->loop.ops->watch_timer != NULL;
}

static inline int vly_loop_watch_timer(struct volley_worker *worker, int fd)
{
	return worker->loop.ops->watch_timer(worker, fd);
}

#endif
