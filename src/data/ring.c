/* SPDX-License-Identifier: MIT */

/*
 * Single producer, single consumer. Positions run freely and only their difference counts:
 *
 *     head <= tail <= head + size      (modulo 2^32; size is at most 2^30: never ambiguous)
 *     entries [head, tail) are the consumer's, the rest is the producer's
 *
 * Each side reads the other's position only when its cached copy says that there is not enough, so
 * two threads that keep up with each other exchange one cache line per batch. Waking and what an
 * index means are left to others.
 */

#include "data/ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#define MAX_ENTRIES (UINT32_C(1) << 30)

int vly_ring_init(struct vly_ring *ring, const struct volley_allocator *allocator,
		  uint32_t n_entries, uint32_t first_position)
{
	bool power_of_two = (n_entries & (n_entries - 1)) == 0;
	uint32_t *entries;

	if (n_entries < 2 || n_entries > MAX_ENTRIES || !power_of_two)
		return -EINVAL;
	entries = vly_mem_new(allocator, n_entries, sizeof *entries);
	if (entries == NULL)
		return -ENOMEM;
	atomic_init(&ring->tail, first_position);
	atomic_init(&ring->head, first_position);
	ring->head_cache = first_position;
	ring->tail_cache = first_position;
	ring->mask = n_entries - 1;
	ring->entries = entries;
	return 0;
}

void vly_ring_fini(struct vly_ring *ring)
{
	vly_mem_free(ring->entries);
	ring->entries = NULL;
}

uint32_t vly_ring_push(struct vly_ring *ring, const uint32_t *indices, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t size = ring->mask + 1;
	uint32_t room = size - (tail - ring->head_cache);

	assert(tail - ring->head_cache <= ring->mask + 1);
	if (room < n) {
		ring->head_cache = atomic_load_explicit(&ring->head, memory_order_acquire);
		room = size - (tail - ring->head_cache);
	}
	if (n > room)
		n = room;
	for (uint32_t i = 0; i < n; i++)
		ring->entries[(tail + i) & ring->mask] = indices[i];
	/* Publishes the entries just written, and what the caller wrote behind their indices. */
	atomic_store_explicit(&ring->tail, tail + n, memory_order_release);
	return n;
}

uint32_t vly_ring_pop(struct vly_ring *ring, uint32_t *indices, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t there = ring->tail_cache - head;

	assert(ring->tail_cache - head <= ring->mask + 1);
	if (there < n) {
		ring->tail_cache = atomic_load_explicit(&ring->tail, memory_order_acquire);
		there = ring->tail_cache - head;
	}
	if (n > there)
		n = there;
	for (uint32_t i = 0; i < n; i++)
		indices[i] = ring->entries[(head + i) & ring->mask];
	/* Publishes that these entries were read: the producer may write over them. */
	atomic_store_explicit(&ring->head, head + n, memory_order_release);
	return n;
}

uint32_t vly_ring_count(const struct vly_ring *ring)
{
	/* Head first: it can only grow meanwhile, so the difference is never negative. */
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint32_t n = tail - head;

	/* To a third thread both ends may have moved between the two loads. */
	return n > ring->mask + 1 ? ring->mask + 1 : n;
}
