/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_OUTBOX_H
#define VLY_PATH_OUTBOX_H

/* Replies that leave with the next flush. The worker's thread, all of it. */

#include "io/io.h"
#include "path/worker.h"

struct vly_buffer;

/* 0 or -ENOMEM. fini takes a worker whose init failed. */
int vly_outbox_init(struct volley_worker *worker);
void vly_outbox_fini(struct volley_worker *worker);

static inline bool vly_outbox_is_full(const struct volley_worker *worker)
{
	return worker->outbox.n_tx == VLY_N_TX;
}

/* Whether they are being sent: a log hook that must not ask may ask then. */
static inline bool vly_outbox_is_flushing(const struct volley_worker *worker)
{
	return worker->outbox.is_flushing;
}

/* How many replies wait for the flush. */
static inline uint32_t vly_outbox_count(const struct volley_worker *worker)
{
	return worker->outbox.n_tx;
}

/* The next entry of an outbox that is not full. The caller fills it. */
static inline struct vly_tx *vly_outbox_add(struct volley_worker *worker)
{
	return &worker->outbox.tx[worker->outbox.n_tx++];
}

/* The one that was added last, and was not flushed. */
static inline struct vly_tx *vly_outbox_get_last(struct volley_worker *worker)
{
	return &worker->outbox.tx[worker->outbox.n_tx - 1];
}

/*
 * The same, after a flush if it was full. NULL: it is full and being flushed.
 */
struct vly_tx *vly_outbox_new(struct volley_worker *worker);

/* Send what a buffer holds (`reply`) by this socket; then it goes back to its pool's owner. */
void vly_outbox_add_buffer(struct volley_worker *worker, struct vly_sock *sock,
			   struct vly_buffer *buffer);

/*
 * Room in the arena until the flush, or NULL; flushes first where that makes some, but not in the
 * middle of a flush. `open` is for the user to write into, and says how large the room is.
 */
void *vly_outbox_get_room(struct volley_worker *worker, uint32_t n_bytes);
void *vly_outbox_open_room(struct volley_worker *worker, uint32_t n_bytes, uint32_t *ret_n_bytes);

/*
 * Hand every reply to the kernel or to the backlog. What the entries point to is free afterwards,
 * but for the buffers, which wait for their owners. Never blocks.
 */
void vly_outbox_flush(struct volley_worker *worker);

/* For the owner of a pool: its buffers that were sent, linked by their nodes; NULL: none. */
struct vly_inbox_node *vly_outbox_take_sent(struct volley_worker *worker, enum vly_pool pool);

/* Whether any buffer waits for its owner. */
bool vly_outbox_has_sent(const struct volley_worker *worker);

#endif
