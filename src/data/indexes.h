/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_INDEXES_H
#define VLY_DATA_INDEXES_H

/*
 * The places of a table: which are free, however many there are, without a look at any of them. The
 * one that was given back last is taken first.
 */

#include <stdint.h>

struct volley_allocator;

struct vly_indexes {
	uint32_t *free; /* n_free of them; room for all that there are */
	uint32_t n_free;
	uint32_t n; /* as many places have ever been in use: 0 to n - 1 */
	uint32_t n_room;
};

/* fini takes a zeroed object, which is an empty one. */
void vly_indexes_fini(struct vly_indexes *indexes);

/* A free place: 0 or -ENOMEM. And one that was taken back again, which needs no memory. */
int vly_indexes_take(struct vly_indexes *indexes, const struct volley_allocator *allocator,
		     uint32_t *ret_index);
void vly_indexes_put(struct vly_indexes *indexes, uint32_t index);

/* How many are taken. */
static inline uint32_t vly_indexes_count(const struct vly_indexes *indexes)
{
	return indexes->n - indexes->n_free;
}

#endif
