/* SPDX-License-Identifier: MIT */

/*
 * A stack of the places that were given back. It has room for all that were ever taken, so that
 * giving back always succeeds.
 */

#include "data/indexes.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"

enum { FIRST_ROOM = 8 };

void vly_indexes_fini(struct vly_indexes *indexes)
{
	vly_mem_free(indexes->free);
	*indexes = (struct vly_indexes){ .n = 0 };
}

static int make_room(struct vly_indexes *indexes, const struct volley_allocator *allocator)
{
	uint32_t n = indexes->n_room > 0 ? 2 * indexes->n_room : FIRST_ROOM;
	uint32_t *larger;

	if (indexes->n < indexes->n_room)
		return 0;
	larger = vly_mem_grow(allocator, indexes->free, indexes->n_room, n, sizeof *larger);
	if (larger == NULL)
		return -ENOMEM;
	indexes->free = larger;
	indexes->n_room = n;
	return 0;
}

int vly_indexes_take(struct vly_indexes *indexes, const struct volley_allocator *allocator,
		     uint32_t *ret_index)
{
	if (indexes->n_free > 0) {
		*ret_index = indexes->free[--indexes->n_free];
		return 0;
	}
	if (make_room(indexes, allocator) < 0)
		return -ENOMEM;
	*ret_index = indexes->n++;
	return 0;
}

void vly_indexes_put(struct vly_indexes *indexes, uint32_t index)
{
	assert(index < indexes->n && indexes->n_free < indexes->n);
	indexes->free[indexes->n_free++] = index;
}
