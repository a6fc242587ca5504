/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_PRESENCE_H
#define VLY_WORKER_PRESENCE_H

/* Whether a worker is there, and takes posts: what others must know before they wait for it. */

#include "path/worker.h"

/* Before a start: it takes posts from its beginning on. */
void vly_presence_init(struct volley_worker *worker);

/* It begins to exist, or has left; it takes no posts any more. Wakes those who wait for it. */
void vly_presence_set(struct volley_worker *worker, bool is_here);
void vly_presence_close(struct volley_worker *worker);

/* Anyone. */
bool vly_presence_is_here(const struct volley_worker *worker) VLY_REQUIRES(worker->shared->lock);
bool vly_presence_is_open(const struct volley_worker *worker) VLY_REQUIRES(worker->shared->lock);

#endif
