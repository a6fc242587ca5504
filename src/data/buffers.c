/* SPDX-License-Identifier: MIT */

/*
 * The pool of packet buffers: one free list per class, last in first out, so that a pool that is
 * hardly used keeps few pages resident. Headers and payload are apart: headers are walked when a
 * backlog is sent, payload is only gathered by the kernel. Indices run through the classes in
 * order, smallest first.
 *
 * Invariant: a buffer is on its class's free list or its taker has it; n_used counts the latter.
 * What a taker does with `node` meanwhile is the taker's.
 */

#include <assert.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "data/buffers.h"

/*
 * A DNS answer or a game packet; an MTU and what jumbo-minded EDNS sizes ask for; the largest that
 * UDP carries. Multiples of two lines, so that one line more makes an odd stride (see slots.h).
 */
const uint32_t vly_buffers_class_bytes[VLY_BUFFERS_N_CLASSES] = { 256, 2048, 65536 };

struct vly_buffers {
	struct vly_inbox_node *free[VLY_BUFFERS_N_CLASSES];
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

/* Number the buffers, give each its payload, and free them all, the lowest on top. */
static void fill(struct vly_buffers *buffers, const uint32_t n_per_class[VLY_BUFFERS_N_CLASSES])
{
	uint8_t *data = buffers->payload + buffers->n_payload_bytes;
	uint32_t index = buffers->n_buffers;

	for (int c = VLY_BUFFERS_N_CLASSES - 1; c >= 0; c--)
		for (uint32_t i = 0; i < n_per_class[c]; i++) {
			struct vly_buffer *buffer = &buffers->all[--index];

			data -= stride(c);
			buffer->data = data;
			buffer->index = index;
			buffer->class_index = (uint8_t)c;
			buffer->node.next = buffers->free[c];
			buffers->free[c] = &buffer->node;
		}
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
	}
	if (n_buffers == 0)
		return buffers;
	if (n_buffers > UINT32_MAX)
		goto fail;
	buffers->n_buffers = (uint32_t)n_buffers;
	buffers->all = vly_mem_new(allocator, n_buffers, sizeof *buffers->all);
	buffers->payload = vly_mem_map(allocator, buffers->n_payload_bytes);
	if (buffers->all == NULL || buffers->payload == NULL)
		goto fail;
	fill(buffers, n_per_class);
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
	vly_mem_free(buffers->all);
	vly_mem_free(buffers);
}

struct vly_buffer *vly_buffers_get(struct vly_buffers *buffers, uint32_t n_bytes)
{
	for (int c = 0; c < VLY_BUFFERS_N_CLASSES; c++) {
		struct vly_inbox_node *node = buffers->free[c];

		if (n_bytes > vly_buffers_class_bytes[c] || node == NULL)
			continue;
		buffers->free[c] = node->next;
		node->next = NULL;
		buffers->n_used++;
		return VLY_CONTAINER_OF(node, struct vly_buffer, node);
	}
	return NULL;
}

void vly_buffers_put(struct vly_buffers *buffers, struct vly_buffer *buffer)
{
	assert(buffers->n_used > 0);
	assert(buffer == &buffers->all[buffer->index]);

	buffer->node.next = buffers->free[buffer->class_index];
	buffers->free[buffer->class_index] = &buffer->node;
	buffers->n_used--;
}

struct vly_buffer *vly_buffers_at(struct vly_buffers *buffers, uint32_t index)
{
	assert(index < buffers->n_buffers);

	return &buffers->all[index];
}

uint32_t vly_buffers_n_used(const struct vly_buffers *buffers)
{
	return buffers->n_used;
}
