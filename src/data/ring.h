/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_RING_H
#define VLY_DATA_RING_H

/*
 * A ring of 32-bit indices for one producer thread and one consumer thread. Wait-free, batched,
 * bounded. Positions are free-running 32-bit counters; size is a power of two from 2 to 2^30, so
 * wrap at 2^32 is harmless.
 *
 * Producer and consumer parts are on their own cache lines, each with a cached copy of the other's
 * position, so that the shared line moves once a batch and not once an entry.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"

struct volley_allocator;

struct vly_ring {
	VLY_ALIGNED _Atomic uint32_t tail; /* written by the producer */
	uint32_t head_cache;               /* producer's */
	VLY_ALIGNED _Atomic uint32_t head; /* written by the consumer */
	uint32_t tail_cache;               /* consumer's */
	VLY_ALIGNED uint32_t mask;         /* read-only */
	uint32_t *entries;
};

/*
 * 0, -EINVAL for a size that is no power of two in range, or -ENOMEM. first_position is for tests
 * of the wrap.
 */
int vly_ring_init(struct vly_ring *ring, const struct volley_allocator *allocator,
		  uint32_t n_entries, uint32_t first_position);
void vly_ring_fini(struct vly_ring *ring);

/* Producer: append up to n; returns how many fitted (a full ring is a short count). */
uint32_t vly_ring_push(struct vly_ring *ring, const uint32_t *indices, uint32_t n);

/* Consumer: take up to n; returns how many there were. */
uint32_t vly_ring_pop(struct vly_ring *ring, uint32_t *indices, uint32_t n);

/* Entries in the ring: exact for either end about its own side, a snapshot for others. */
uint32_t vly_ring_count(const struct vly_ring *ring);

#endif
