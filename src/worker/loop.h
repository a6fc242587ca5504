/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_H
#define VLY_WORKER_LOOP_H

/*
 * The loops around vly_pipeline_run_once(): one for each wait strategy. All on the worker's thread.
 */

#include <stdbool.h>

#include <volley/server.h>

struct vly_loop_ops {
	/* Make what waiting needs; sets worker->loop when there is any. 0 or -errno. */
	int (*open)(struct volley_worker *worker);
	/* Serve until the worker's command says otherwise. NULL: the caller's loop does. */
	void (*run)(struct volley_worker *worker);
	void (*close)(struct volley_worker *worker);
	/* Port i got a socket, is about to lose it, or is read no longer. 0 or -ENOMEM. */
	int (*update)(struct volley_worker *worker, uint32_t i);
	/* Without run, at the end of a turn: see to it that what is to be done will be noticed. */
	void (*arm)(struct volley_worker *worker);
	struct event_base *(*get_event_base)(const struct volley_worker *worker);
};

extern const struct vly_loop_ops vly_loop_event_ops;
extern const struct vly_loop_ops vly_loop_base_ops;
extern const struct vly_loop_ops vly_loop_block_ops;
extern const struct vly_loop_ops vly_loop_spin_ops;
extern const struct vly_loop_ops vly_loop_fd_ops;

/* The loop that a config asks for. */
const struct vly_loop_ops *vly_loop_get_ops(const struct volley_config *config);

/* Whether it is the caller's, and so workers have no threads (turn.c). */
bool vly_loop_is_callers(const struct volley_config *config);

void vly_loop_arm(struct volley_worker *worker);

/* The parts of "fd", which serving on an event_base is made of too. */
int vly_loop_fd_open(struct volley_worker *worker);
int vly_loop_fd_update(struct volley_worker *worker, uint32_t i);
void vly_loop_fd_close(struct volley_worker *worker);
/* One pass: the number of messages received, or -ESHUTDOWN when the command is to leave. */
int vly_loop_fd_process(struct volley_worker *worker);
void vly_loop_fd_arm(struct volley_worker *worker);
/* Nanoseconds until the next process, readable or not; -1: none. */
int64_t vly_loop_fd_get_timeout(struct volley_worker *worker);

/* Tell the worker's loop, if it has one, that port i changed. 0 or -ENOMEM. */
int vly_loop_update(struct volley_worker *worker, uint32_t i);

#endif
