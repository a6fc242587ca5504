/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_GOODBYE_H
#define VLY_WORKER_GOODBYE_H

/* The hook on_drain: the server asks each worker once for it, by mail, and counts who is done. */

#include "path/worker.h"

/*
 * Any thread: have all workers that take posts call the hook, n of them, before what is pushed
 * later. Takes no memory. Not again before vly_goodbye_is_over().
 */
void vly_goodbye_send(struct volley_worker *workers, uint32_t n)
	VLY_REQUIRES(workers->shared->lock);

/* Worker's thread: call the hook. The last one wakes the server's event_fd. */
void vly_goodbye_run(struct volley_worker *worker);

/* Anyone: whether no worker has it before it. */
bool vly_goodbye_is_over(const struct vly_shared *shared);

#endif
