/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_ERRAND_H
#define VLY_WORKER_ERRAND_H

/*
 * Errands: what the server has each worker do with its sockets, between two volleys (change.c has
 * the things that can be done). A round is one errand for all workers.
 */

#include "path/worker.h"

/* 0 or -errno. */
typedef int (*vly_errand_fn)(struct volley_worker *worker, void *arg);

struct vly_round {
	vly_errand_fn fn;
	void *arg;
	/* shared->lock: */
	uint32_t n_left; /* workers that have not done it */
	int result;      /* 0, or one of the failures */
};

/* Any thread: send a worker that takes posts on its part of a round. Takes no memory. */
void vly_errand_send(struct volley_worker *worker, struct vly_round *round)
	VLY_REQUIRES(worker->shared->lock);

/* Worker's thread: do the errand of a node of the inbox, and say so. */
void vly_errand_run(struct volley_worker *worker);

#endif
