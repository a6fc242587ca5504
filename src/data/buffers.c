/* SPDX-License-Identifier: MIT */

/*
 * The pool of packet buffers: one free list per class, last in first out, and behind it the buffers
 * that nobody has taken yet, so that a pool that is hardly used keeps few pages resident. Headers
 * and payload are apart: headers are walked when a backlog is sent, payload is only gathered by the
 * kernel. Indices run through the classes in order, smallest first.
 *
 * Invariant: a buffer is fresh, or on its class's free list, or its taker has it; n_used counts the
 * latter. What a taker does with the fields meanwhile is the taker's; `generation` and the payload
 * stay as they are while a buffer is free.
 */

#include "data/buffers.h"

#include <assert.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/mem.h"

/*
 * A DNS reply or a game packet; an MTU and what jumbo-minded EDNS sizes ask for; the largest that
 * UDP carries. Multiples of two lines, so that one line more makes an odd stride (see slots.h).
 */
const uint32_t vly_buffers_class_bytes[VLY_BUFFERS_N_CLASSES] = { 256, 2048, 65536 };

struct class
{
	struct vly_inbox_node *free;
	uint32_t n_fresh; /* never taken: the last of the class */
	uint32_t end;     /* index behind the class */
	uint64_t end_bytes;
};

struct vly_buffers {
	struct class classes[VLY_BUFFERS_N_CLASSES];
	struct vly_buffer *all;
	uint8_t *payload;
	uint64_t n_payload_bytes;
	const struct volley_allocator *allocator;
	uint32_t n_buffers;
	uint32_t n_used;
};

static_assert(offsetof(struct vly_buffer, node) == 0, "a node is its buffer");
static_assert(sizeof(struct vly_buffer) % VLY_CACHE_LINE == 0, "no two buffers share a line");

static uint64_t stride(int class_index)
{
	return (uint64_t)vly_buffers_class_bytes[class_index] + VLY_CACHE_LINE;
}

/* The lowest buffer of a class that was never taken. */
static struct vly_buffer *take_fresh(struct vly_buffers *buffers, int class_index)
{
	struct class *class = &buffers->classes[class_index];
	uint32_t index = class->end - class->n_fresh;
	struct vly_buffer *buffer = &buffers->all[index];

	*buffer = (struct vly_buffer){
		.data = buffers->payload + class->end_bytes - class->n_fresh * stride(class_index),
		.index = index,
		.class_index = (uint8_t)class_index,
	};
	class->n_fresh--;
	return buffer;
}

struct vly_buffers *vly_buffers_new(const struct volley_allocator *allocator,
				    const uint32_t n_per_class[VLY_BUFFERS_N_CLASSES])
{
	struct vly_buffers *buffers;
	uint64_t n_buffers = 0;

	buffers = vly_mem_new(allocator, 1, sizeof *buffers);
	if (buffers == NULL)
		return NULL;
	buffers->allocator = allocator;
	for (int c = 0; c < VLY_BUFFERS_N_CLASSES; c++) {
		n_buffers += n_per_class[c];
		buffers->n_payload_bytes += n_per_class[c] * stride(c);
		buffers->classes[c] = (struct class){ .n_fresh = n_per_class[c],
						      .end = (uint32_t)n_buffers,
						      .end_bytes = buffers->n_payload_bytes };
	}
	if (n_buffers == 0)
		return buffers;
	if (n_buffers > UINT32_MAX)
		goto fail;
	buffers->n_buffers = (uint32_t)n_buffers;
	buffers->all = vly_mem_map(allocator, n_buffers * sizeof *buffers->all);
	buffers->payload = vly_mem_map(allocator, buffers->n_payload_bytes);
	if (buffers->all == NULL || buffers->payload == NULL)
		goto fail;
	return buffers;
fail:
	vly_buffers_free(buffers);
	return NULL;
}

void vly_buffers_free(struct vly_buffers *buffers)
{
	if (buffers == NULL)
		return;
	vly_mem_unmap(buffers->allocator, buffers->payload, buffers->n_payload_bytes);
	vly_mem_unmap(buffers->allocator, buffers->all, buffers->n_buffers * sizeof *buffers->all);
	vly_mem_free(buffers);
}

uint64_t vly_buffers_count_bytes(const struct vly_buffers *buffers)
{
	uint64_t n_bytes = 0;
	uint32_t begin = 0;

	for (int c = 0; buffers != NULL && c < VLY_BUFFERS_N_CLASSES; c++) {
		n_bytes += (uint64_t)(buffers->classes[c].end - begin) * vly_buffers_class_bytes[c];
		begin = buffers->classes[c].end;
	}
	return n_bytes;
}

struct vly_buffer *vly_buffers_take(struct vly_buffers *buffers, uint32_t n_bytes)
{
	for (int c = 0; c < VLY_BUFFERS_N_CLASSES; c++) {
		struct class *class = &buffers->classes[c];
		struct vly_buffer *buffer;

		if (n_bytes > vly_buffers_class_bytes[c] ||
		    (class->free == NULL && class->n_fresh == 0))
			continue;
		buffers->n_used++;
		if (class->free == NULL)
			return take_fresh(buffers, c);
		buffer = VLY_CONTAINER_OF(class->free, struct vly_buffer, node);
		class->free = buffer->node.next;
		buffer->node.next = NULL;
		return buffer;
	}
	return NULL;
}

void vly_buffers_put(struct vly_buffers *buffers, struct vly_buffer *buffer)
{
	assert(buffers->n_used > 0);
	assert(buffer == &buffers->all[buffer->index]);

	buffer->node.next = buffers->classes[buffer->class_index].free;
	buffers->classes[buffer->class_index].free = &buffer->node;
	buffers->n_used--;
}

struct vly_buffer *vly_buffers_get(struct vly_buffers *buffers, uint32_t index)
{
	assert(index < buffers->n_buffers);

	return &buffers->all[index];
}

struct vly_buffer *vly_buffers_find(struct vly_buffers *buffers, uint32_t index)
{
	for (int c = 0; c < VLY_BUFFERS_N_CLASSES; c++)
		if (index < buffers->classes[c].end)
			return index < buffers->classes[c].end - buffers->classes[c].n_fresh
				       ? &buffers->all[index]
				       : NULL;
	return NULL;
}

uint32_t vly_buffers_count_used(const struct vly_buffers *buffers)
{
	return buffers->n_used;
}
