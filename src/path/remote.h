/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_REMOTE_H
#define VLY_PATH_REMOTE_H

/*
 * What other threads want of a worker: answers to held packets, and sends. See remote.c.
 */

#include <stdatomic.h>
#include <stdbool.h>

#include <volley/server.h>
#include <volley/stats.h>

#include "data/buffers.h"
#include "sys/lock.h"

struct vly_remote {
	struct vly_lock lock;
	bool has_lock;
	uint32_t seed; /* where the generations of tokens start; set once */
	/* Guarded by the lock: */
	bool open; /* the worker takes sends */
	struct vly_buffers *buffers;
	struct vly_buffer *held_first; /* in order of their deadlines */
	struct vly_buffer *held_last;
	uint32_t n_sending;         /* buffers on their way through the worker */
	uint64_t n_posted;          /* all that were ever handed to it */
	struct volley_stats counts; /* what happens here: held_*, and sends that fail at once */
	/* Written with the lock, read by the worker without. */
	_Atomic uint32_t n_held;
};

/* fini takes a zeroed object too. */
int vly_remote_init(struct volley_worker *worker);
void vly_remote_fini(struct volley_worker *worker);

/* Worker's thread: it takes sends from now on; at its end: it takes nothing any more. */
void vly_remote_open(struct volley_worker *worker);
void vly_remote_close(struct volley_worker *worker);

/* With the lock: count a send that fails before it was handed over; returns `error`. */
int vly_remote_refuse(struct vly_remote *remote, enum volley_tx_drop reason, int error);

/* With the lock: hand a buffer to the worker, addressed, with this payload. */
void vly_remote_post(struct volley_worker *worker, struct vly_buffer *buffer, const void *data,
		     uint32_t len);

/* Worker's thread: take over such a buffer out of the inbox. */
void vly_remote_take(struct volley_worker *worker, struct vly_buffer *buffer);

/* Worker's thread: these buffers (linked by their nodes) have been sent. */
void vly_remote_put(struct volley_worker *worker, struct vly_inbox_node *sent);

/* Anyone: complete a worker's counters, as it published them last, by what is known here. */
void vly_remote_add_stats(struct vly_remote *remote, struct volley_stats *stats);

#endif
