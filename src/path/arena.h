/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_ARENA_H
#define VLY_PATH_ARENA_H

/* Room for replies until they are sent. The worker's alone. */

#include <stdbool.h>
#include <stdint.h>

struct volley_allocator;

struct vly_arena {
	uint8_t *base;
	uint32_t n_bytes;
	uint32_t used;
	uint32_t end;  /* what is free ends here */
	uint32_t last; /* where the latest room begins, which a shorter reply gives back */
	/* Rooms that this callback was given lie in between; they stay valid until it returns. */
	uint32_t kept_from;
	uint32_t kept_to; /* 0: there are none */
	const struct volley_allocator *allocator;
};

/* 0 or -ENOMEM. fini takes a zeroed arena too. */
int vly_arena_init(struct vly_arena *arena, const struct volley_allocator *allocator,
		   uint32_t n_bytes);
void vly_arena_fini(struct vly_arena *arena);

/* Room for so many bytes, or NULL. Valid until vly_arena_reset() or _clear(). */
void *vly_arena_get(struct vly_arena *arena, uint32_t n_bytes);

/* The same for the user to write into: it stays valid to the end of the callback. */
void *vly_arena_open(struct vly_arena *arena, uint32_t n_bytes, uint32_t *ret_n_bytes);

/* Whether these bytes stand in a room. If so, what they leave unused of it is given back. */
bool vly_arena_take(struct vly_arena *arena, const uint8_t *data, uint32_t len);

/*
 * For what has to stay beside these rooms for the moment: open a room for it, and afterwards put
 * back what was kept before.
 */
struct vly_arena_kept {
	uint32_t from;
	uint32_t to;
};
static inline struct vly_arena_kept vly_arena_get_kept(const struct vly_arena *arena)
{
	return (struct vly_arena_kept){ arena->kept_from, arena->kept_to };
}
static inline void vly_arena_put_kept(struct vly_arena *arena, struct vly_arena_kept kept)
{
	arena->kept_from = kept.from;
	arena->kept_to = kept.to;
}

/* All that is in it was sent: start over beside the rooms that this callback was given. */
void vly_arena_reset(struct vly_arena *arena);

/* A callback has returned, one for each packet too: its rooms are nobody's. */
static inline void vly_arena_end_callback(struct vly_arena *arena)
{
	arena->kept_from = 0;
	arena->kept_to = 0;
}

/* A volley was sent. */
void vly_arena_clear(struct vly_arena *arena);

#endif
