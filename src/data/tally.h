/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_TALLY_H
#define VLY_DATA_TALLY_H

/*
 * How many there are of each 64-bit key. One thread at a time.
 */

#include <stdint.h>

struct volley_allocator;
struct vly_tally_place;

struct vly_tally {
	struct vly_tally_place *places;
	uint32_t n_places; /* a power of two, or 0 */
	uint32_t n;        /* keys of which there are any */
};

/* fini takes a zeroed object, which is an empty one. */
void vly_tally_fini(struct vly_tally *tally);

uint32_t vly_tally_count(const struct vly_tally *tally, uint64_t key);

/* One more: 0 or -ENOMEM. One less, of which there are some: needs no memory. */
int vly_tally_add(struct vly_tally *tally, const struct volley_allocator *allocator, uint64_t key);
void vly_tally_remove(struct vly_tally *tally, uint64_t key);

#endif
