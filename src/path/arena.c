/* SPDX-License-Identifier: MIT */

/*
 * The arena is filled from the bottom. It is empty again after each volley. In the middle of one,
 * when it is full and everything in it has been sent, it starts over, but beside the rooms that the
 * callback was given: those are the user's until it returns, replied from or not.
 *
 *     | reply | room | reply | room, being written | free ...
 *               ^ kept_from    ^ last                ^ used, kept_to        end ^
 *
 *     | reply | reply | free ...   | room | reply | room | lost till the callback returns |
 *               last ^  ^ used     ^ end, kept_from      ^ kept_to
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
	vly_arena_clear(arena);
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

	assert(arena->last <= arena->used && arena->used <= arena->end);
	assert(arena->end <= arena->n_bytes);
	if (room > arena->end - arena->used)
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
	if (arena->kept_to == 0 || arena->last < arena->kept_from)
		arena->kept_from = arena->last;
	if (arena->used > arena->kept_to)
		arena->kept_to = arena->used;
	*ret_n_bytes = arena->used - arena->last;
	return room;
}

static bool is_kept(const struct vly_arena *arena, uintptr_t at, uint32_t len)
{
	return at >= arena->kept_from && at < arena->kept_to && len <= arena->kept_to - at;
}

/*
 * Only the latest room gives back what was not used, and only once: a second reply from the same
 * room must not give back what the first one uses.
 */
bool vly_arena_take(struct vly_arena *arena, const uint8_t *data, uint32_t len)
{
	uintptr_t at = (uintptr_t)data - (uintptr_t)arena->base;
	uint32_t used = arena->used;

	if (at < arena->last || at >= used || len > used - at)
		return is_kept(arena, at, len);
	arena->used = round_up((uint32_t)at + len);
	arena->last = arena->used;
	if (arena->kept_to == used)
		arena->kept_to = arena->used;
	return true;
}

/* In front of the rooms or behind them, where there is more. */
void vly_arena_reset(struct vly_arena *arena)
{
	bool behind = arena->n_bytes - arena->kept_to >= arena->kept_from;

	if (arena->kept_to == 0) {
		vly_arena_clear(arena);
		return;
	}
	arena->used = behind ? arena->kept_to : 0;
	arena->end = behind ? arena->n_bytes : arena->kept_from;
	arena->last = arena->used;
}

void vly_arena_clear(struct vly_arena *arena)
{
	vly_arena_end_callback(arena);
	arena->used = 0;
	arena->last = 0;
	arena->end = arena->n_bytes;
}
