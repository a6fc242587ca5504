/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SENDER_H
#define VLY_PATH_SENDER_H

/* Tx entries on their last step, from the outbox or from a line, to the kernel. */

#include "path/worker.h"

/* Messages of one socket, of which a send takes away what it is done with. */
struct vly_batch {
	struct vly_tx *tx;
	const uint16_t *heads; /* the first entry of each message */
	uint32_t n;
	uint16_t first; /* what heads[0] stands for: of a message that was cut up, the rest */
	bool is_single; /* each message is one datagram */
	int error;      /* what the first of the rest met: -EAGAIN or -ENOBUFS */
};

/* 0 or -ENOMEM. fini takes a worker whose init failed. */
int vly_sender_init(struct volley_worker *worker);
void vly_sender_fini(struct volley_worker *worker);

/*
 * Group n entries, from tx[first] on and all of this socket, into messages (io/coalesce.h). One
 * batch of a worker at a time.
 */
void vly_sender_fill(struct volley_worker *worker, struct vly_sock *sock, struct vly_tx *tx,
		     uint32_t first, uint32_t n, struct vly_batch *ret_batch);

/*
 * Hand a batch to the kernel, until it is full. What leaves and what is refused is counted on the
 * account that is set; the rest stays in the batch.
 */
void vly_sender_send(struct volley_worker *worker, struct vly_sock *sock, struct vly_batch *batch);

/* The head of message i of those that are left. */
static inline uint16_t vly_sender_get_head(const struct vly_batch *batch, uint32_t i)
{
	return i == 0 ? batch->first : batch->heads[i];
}

#endif
