/* SPDX-License-Identifier: MIT */
#ifndef VLY_ENGINE_LOOP_H
#define VLY_ENGINE_LOOP_H

/*
 * The loops around vly_pipeline_run_once(): one for each wait strategy. All on the worker's thread.
 */

#include <stdbool.h>

#include <volley/server.h>

struct vly_loop_ops {
	/* Make what waiting needs; sets worker->loop when there is any. 0 or -errno. */
	int (*open)(struct volley_worker *worker);
	/* Serve until the worker's command says otherwise. */
	void (*run)(struct volley_worker *worker);
	void (*close)(struct volley_worker *worker);
	/* Port i got a socket, is about to lose it, or is read no longer. 0 or -ENOMEM. */
	int (*update)(struct volley_worker *worker, uint32_t i);
	struct event_base *(*get_event_base)(const struct volley_worker *worker);
};

extern const struct vly_loop_ops vly_loop_event_ops;
extern const struct vly_loop_ops vly_loop_block_ops;
extern const struct vly_loop_ops vly_loop_spin_ops;

/* The loop of a wait strategy (enum volley_wait). */
const struct vly_loop_ops *vly_loop_get_ops(uint32_t wait);

/* Tell the worker's loop, if it has one, that port i changed. 0 or -ENOMEM. */
int vly_loop_update(struct volley_worker *worker, uint32_t i);

#endif
