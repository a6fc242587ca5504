/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_QUEUE_H
#define VLY_PATH_QUEUE_H

/* The replies that wait for room at one socket, in order. backlog.c sends and counts them. */

#include <stdbool.h>
#include <stdint.h>

#include "data/buffers.h"
#include "io/message.h"

struct vly_queue {
	struct vly_buffer *first; /* linked by their nodes; order of arrival, and of deadlines */
	struct vly_buffer *last;
	uint32_t n;
	uint32_t retry_us; /* 0: wait for POLLOUT; else the pause that ends at retry_ns (ENOBUFS) */
	uint64_t retry_ns;
};

/*
 * Append a copy of a reply that could not leave (error -EAGAIN or -ENOBUFS, or 0 for one that only
 * stands in line). False: the pool has no buffer for it.
 */
bool vly_queue_push(struct vly_queue *queue, struct vly_buffers *pool, const struct vly_tx *tx,
		    int error, uint64_t now_ns);

/* The newest may wait until then. */
void vly_queue_set_deadline(struct vly_queue *queue, uint64_t deadline_ns);

/* The first is dropped. */
void vly_queue_pop(struct vly_queue *queue, struct vly_buffers *pool);

/* Make tx entries of the first ones, at most n. Returns how many. */
uint32_t vly_queue_fill(const struct vly_queue *queue, struct vly_tx *tx, uint32_t n);

/* Of the first n only those stay that `stays` says it of, in their order. */
void vly_queue_settle(struct vly_queue *queue, struct vly_buffers *pool, const bool *stays,
		      uint32_t n);

/* The socket was tried again: it took something (0), or met this error. */
void vly_queue_set_retry(struct vly_queue *queue, int error, uint64_t now_ns);

/* Whether it is time to try again, and whether the first has waited for too long. */
bool vly_queue_is_due(const struct vly_queue *queue, uint64_t now_ns);
bool vly_queue_is_late(const struct vly_queue *queue, uint64_t now_ns);

/* When one of the two will be true. Only while something waits. */
uint64_t vly_queue_get_time(const struct vly_queue *queue);

/* Whether POLLOUT says when there is room; it says nothing about ENOBUFS. */
static inline bool vly_queue_has_pollout(const struct vly_queue *queue)
{
	return queue->n > 0 && queue->retry_us == 0;
}

static inline uint32_t vly_queue_count(const struct vly_queue *queue)
{
	return queue->n;
}

static inline bool vly_queue_is_empty(const struct vly_queue *queue)
{
	return queue->n == 0;
}

#endif
