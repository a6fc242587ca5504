/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_POLLED_H
#define VLY_WORKER_POLLED_H

/* Busy sockets, which are read without asking epoll. For loops that wait by epoll; see polled.c. */

#include <stdbool.h>

#include "path/worker.h"

/* Whether the worker has any that is busy: then its loop does not wait. */
static inline bool vly_polled_has_any(const struct volley_worker *worker)
{
	return worker->loop.n_polled > worker->loop.n_slow;
}

/* Whether it has any that could not be put back, and is looked at by the clock. */
static inline bool vly_polled_has_slow(const struct volley_worker *worker)
{
	return worker->loop.n_slow > 0;
}

/* Before a pass: those whose time has come are read in it. */
void vly_polled_run(struct volley_worker *worker);

/* Nanoseconds until the first such time, or -1; 0: now. */
int64_t vly_polled_get_timeout(const struct volley_worker *worker, uint64_t now_ns);

/* It is one from here on, and so always ready; or it is none any more. Tells nobody. */
void vly_polled_set(struct volley_worker *worker, struct vly_sock *sock, bool is_polled);

/*
 * After a pass: busy sockets leave epoll, and those that were found empty return to it. A socket is
 * busy when the pass used up its budget, or found `n_busy` messages there.
 */
void vly_polled_adapt(struct volley_worker *worker, uint32_t n_busy);

#endif
