/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_BUFFERS_H
#define VLY_DATA_BUFFERS_H

/*
 * Packet buffers: the bounded pool for datagrams that outlive their volley (answers waiting for a
 * full socket; later ring entries and held packets). Three size classes; none left is NULL, and
 * the caller counts a drop under its name. A worker's pool belongs to that worker's thread:
 * whoever hands a buffer to another thread gets it back through a ring or the inbox. Buffers have
 * indices, which is what rings carry.
 */

#include <stdint.h>

#include <volley/addr.h>

#include "data/inbox.h"

struct volley_allocator;

#define VLY_BUFFERS_N_CLASSES 3

/* 256, 2,048 and 65,536 bytes of payload: a DNS answer, an MTU, anything. */
extern const uint32_t vly_buffers_class_bytes[VLY_BUFFERS_N_CLASSES];

struct vly_buffer {
	VLY_ALIGNED struct vly_inbox_node node; /* free list, backlog or inbox; one at a time */
	struct volley_addr peer;
	struct volley_addr local;
	uint64_t deadline_ns;
	uint8_t *data;
	uint32_t len;
	uint32_t index;
	uint32_t ifindex;
	uint16_t listener;
	uint8_t class_index;
};

struct vly_buffers; /* opaque */

/* n_per_class: buffers of each class, 0 allowed. NULL for lack of memory. */
struct vly_buffers *vly_buffers_new(const struct volley_allocator *allocator,
				    const uint32_t n_per_class[VLY_BUFFERS_N_CLASSES]);
void vly_buffers_free(struct vly_buffers *buffers);

/* A buffer with room for n_bytes: from the smallest class that fits and has one left. */
struct vly_buffer *vly_buffers_get(struct vly_buffers *buffers, uint32_t n_bytes);
void vly_buffers_put(struct vly_buffers *buffers, struct vly_buffer *buffer);

struct vly_buffer *vly_buffers_at(struct vly_buffers *buffers, uint32_t index);
uint32_t vly_buffers_n_used(const struct vly_buffers *buffers);

#endif
