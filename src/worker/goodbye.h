/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_GOODBYE_H
#define VLY_WORKER_GOODBYE_H

/*
 * What the server has all workers do before they end: an errand that nobody waits for. It goes to
 * each by mail, and the server counts who is done.
 */

#include "worker/errand.h"

/*
 * Any thread: have all workers that take posts do `fn` (its arg is NULL), n of them, before what is
 * pushed later. Takes no memory. Not again before vly_goodbye_is_over().
 */
void vly_goodbye_send(struct volley_worker *workers, uint32_t n, vly_errand_fn fn)
	VLY_REQUIRES(workers->shared->lock);

/* Worker's thread: do it. The last one wakes the server's event_fd. */
void vly_goodbye_run(struct volley_worker *worker);

/* The hook on_drain (vly_errand_fn). */
int vly_goodbye_run_hook(struct volley_worker *worker, void *arg);

/* Anyone: whether no worker has it before it; and then whether it has failed somewhere. */
bool vly_goodbye_is_over(const struct vly_shared *shared);
bool vly_goodbye_has_failed(const struct vly_shared *shared);

#endif
