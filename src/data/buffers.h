/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_BUFFERS_H
#define VLY_DATA_BUFFERS_H

/*
 * Packet buffers: the bounded pool for datagrams that outlive their volley (replies waiting for a
 * full socket, ring entries, held packets, sends of other threads). Three size classes; none left
 * is NULL, and the caller counts a drop under its name. A pool belongs to one thread, or to whoever
 * holds its lock: a buffer that was handed to another thread comes back through a ring or the
 * inbox. Buffers have indices, which is what rings carry.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <volley/addr.h>

#include "data/inbox.h"
#include "sys/cmsg.h"

struct volley_allocator;
struct vly_sock; /* path/socks.h */

#define VLY_BUFFERS_N_CLASSES 3

/* 256, 2,048 and 65,536 bytes of payload: a DNS reply, an MTU, anything. */
extern const uint32_t vly_buffers_class_bytes[VLY_BUFFERS_N_CLASSES];

/* Whoever took a buffer writes it; `data`, `index` and `class_index` are set once. */
struct vly_buffer {
	VLY_ALIGNED struct vly_inbox_node node; /* free list, queue or inbox; one at a time */
	uint64_t deadline_ns;
	uint8_t *data;
	uint32_t len;
	uint32_t index;
	uint8_t class_index;
	/* The taker's own numbers; 0 when taken for the first time, and kept while free. */
	uint8_t pool;
	uint8_t state;
	uint16_t owner;
	uint16_t flags; /* VOLLEY_PACKET_* */
	uint32_t generation;
	uint32_t reply_len;
	/* What to send: in `data`, or NULL for nothing. */
	const uint8_t *reply;
	/* The socket that it came by and leaves by. */
	struct vly_sock *sock; /* only while something keeps the socket from going */
	uint32_t sock_index;   /* in the worker's table, */
	uint32_t sock_serial;  /* and which of those that had the index */
	union {
		struct vly_buffer *previous; /* where the queue needs both ways */
		struct {
			uint32_t n_failed[3]; /* a handler's replies that failed, by its numbers */
			/* Of a reply: VLY_CMSG_HEADER_*. Beside `previous` as well. */
			uint32_t header;
		};
	};
	struct volley_addr peer;
	struct vly_cmsg_info info;
};

/* Every packet through a handler fetches these lines four times, from a cache of another core. */
static_assert(offsetof(struct vly_buffer, info) <= 2 * VLY_CACHE_LINE, "two lines");

static inline uint32_t vly_buffer_get_capacity(const struct vly_buffer *buffer)
{
	return vly_buffers_class_bytes[buffer->class_index];
}

/* The one behind it in a queue, or NULL. */
static inline struct vly_buffer *vly_buffer_get_next(const struct vly_buffer *buffer)
{
	return (struct vly_buffer *)(void *)buffer->node.next; /* the first member */
}

/*
 * How a reply leaves. With VLY_CMSG_HEADER_LOCAL from `local` by the interface of that number, else
 * from the socket's own address. Where from; NULL: from there.
 */
static inline void vly_buffer_set_way(struct vly_buffer *buffer, uint32_t header,
				      const struct volley_addr *local, uint32_t ifindex)
{
	buffer->header = header;
	if (!(header & VLY_CMSG_HEADER_LOCAL))
		return;
	buffer->info.local = *local;
	buffer->info.reply_ifindex = ifindex;
}

static inline const struct volley_addr *vly_buffer_get_local(const struct vly_buffer *buffer)
{
	return buffer->header & VLY_CMSG_HEADER_LOCAL ? &buffer->info.local : NULL;
}

struct vly_buffers; /* opaque */

/* n_per_class: buffers of each class, 0 allowed. NULL for lack of memory. */
struct vly_buffers *vly_buffers_new(const struct volley_allocator *allocator,
				    const uint32_t n_per_class[VLY_BUFFERS_N_CLASSES]);
void vly_buffers_free(struct vly_buffers *buffers);

/* Payload bytes of all of them, taken or not; 0 for NULL. */
uint64_t vly_buffers_count_bytes(const struct vly_buffers *buffers);

/* A buffer with room for n_bytes: from the smallest class that fits and has one left. */
struct vly_buffer *vly_buffers_take(struct vly_buffers *buffers, uint32_t n_bytes);
void vly_buffers_put(struct vly_buffers *buffers, struct vly_buffer *buffer);

/* A buffer by its index, which must be good; or by any number: NULL for one never taken. */
struct vly_buffer *vly_buffers_get(struct vly_buffers *buffers, uint32_t index);
struct vly_buffer *vly_buffers_find(struct vly_buffers *buffers, uint32_t index);
uint32_t vly_buffers_count_used(const struct vly_buffers *buffers);

#endif
