/* SPDX-License-Identifier: MIT */

/*
 * The arena is filled from the bottom. It is empty again after each volley, and in the middle of
 * one when it is full, everything in it has been sent, and no room is still being written to.
 *
 *     | reply | reply | room, being written | free ...
 *                       ^ last                ^ used
 */

#include "path/arena.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/mem.h"

/* Rooms start at multiples of this, as malloc's do. */
enum { ALIGN_BYTES = 16 };

static uint32_t round_up(uint32_t n_bytes)
{
	return (n_bytes + ALIGN_BYTES - 1) & ~(uint32_t)(ALIGN_BYTES - 1);
}

int vly_arena_init(struct vly_arena *arena, const struct volley_allocator *allocator,
		   uint32_t n_bytes)
{
	*arena = (struct vly_arena){ .n_bytes = n_bytes, .allocator = allocator };
	arena->base = vly_mem_map(allocator, n_bytes);
	return arena->base == NULL ? -ENOMEM : 0;
}

void vly_arena_fini(struct vly_arena *arena)
{
	vly_mem_unmap(arena->allocator, arena->base, arena->n_bytes);
	*arena = (struct vly_arena){ 0 };
}

void *vly_arena_get(struct vly_arena *arena, uint32_t n_bytes)
{
	uint32_t room = round_up(n_bytes);

	assert(arena->last <= arena->used && arena->used <= arena->n_bytes);
	if (room > arena->n_bytes - arena->used)
		return NULL;
	arena->last = arena->used;
	arena->used += room;
	return arena->base + arena->last;
}

void *vly_arena_open(struct vly_arena *arena, uint32_t n_bytes, uint32_t *ret_n_bytes)
{
	void *room = vly_arena_get(arena, n_bytes);

	if (room == NULL)
		return NULL;
	arena->n_open++;
	*ret_n_bytes = arena->used - arena->last;
	return room;
}

/*
 * Only the latest room gives back what was not used, and only once: a second reply from the same
 * room must not give back what the first one uses.
 */
bool vly_arena_take(struct vly_arena *arena, const uint8_t *data, uint32_t len)
{
	uintptr_t at = (uintptr_t)data - (uintptr_t)arena->base;

	if (at >= arena->used || len > arena->used - at)
		return false;
	if (at < arena->last)
		return true;
	arena->used = round_up((uint32_t)at + len);
	arena->last = arena->used;
	if (arena->n_open > 0)
		arena->n_open--;
	return true;
}

void vly_arena_reset(struct vly_arena *arena)
{
	if (arena->n_open == 0)
		vly_arena_clear(arena);
}

void vly_arena_end_callback(struct vly_arena *arena)
{
	arena->n_open = 0;
}

void vly_arena_clear(struct vly_arena *arena)
{
	arena->n_open = 0;
	arena->used = 0;
	arena->last = 0;
}
