/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_MEMORY_H
#define VLY_WORKER_MEMORY_H

#include "path/worker.h"

/* Before init of any worker: so that fini takes one whose init was never called, or failed. */
void vly_memory_clear(struct volley_worker *worker, struct vly_shared *shared, uint32_t index);

/*
 * All memory and descriptors that a worker needs, so that a later start cannot fail for lack of
 * them. 0 or -errno.
 */
int vly_memory_init(struct volley_worker *worker, struct volley_server *server,
		    const struct vly_loop_ops *loop);
void vly_memory_fini(struct volley_worker *worker);

#endif
