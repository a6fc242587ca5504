/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_SET_H
#define VLY_DATA_SET_H

/*
 * A set of 64-bit keys that any thread asks without a lock while one changes it. A key that is not
 * touched by a change may be missed while the change is made; one that is not there is never found.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct volley_allocator;
struct vly_set_table;

struct vly_set {
	_Atomic(struct vly_set_table *) table; /* NULL: never had one */
	struct vly_set_table *tables;          /* all that ever were, for somebody may read one */
	uint32_t n;
};

/* fini takes a zeroed object too. */
void vly_set_fini(struct vly_set *set);

/* Any thread. */
bool vly_set_has(const struct vly_set *set, uint64_t key);

/* One thread at a time. Adding what is there or removing what is not does nothing. 0, -ENOMEM. */
int vly_set_add(struct vly_set *set, const struct volley_allocator *allocator, uint64_t key);
void vly_set_remove(struct vly_set *set, uint64_t key);

/* Become equal to `other`, which nobody changes meanwhile. On -ENOMEM it has some of both. */
int vly_set_fill(struct vly_set *set, const struct volley_allocator *allocator,
		 const struct vly_set *other);

#endif
