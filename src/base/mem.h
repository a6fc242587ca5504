/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_MEM_H
#define VLY_BASE_MEM_H

#include <stddef.h>

struct volley_allocator;

/*
 * Memory, zeroed and aligned to VLY_CACHE_LINE; n * size is checked for overflow. NULL when there
 * is none. From the allocator, which the object remembers, or the system's when that is NULL. Tests
 * also make the n-th allocation fail by wrapping the C library's calls at link time
 * (tests/lib/fault.h).
 */
void *vly_mem_new(const struct volley_allocator *allocator, size_t n, size_t size);
void vly_mem_free(void *mem);

/*
 * A larger copy of an array of n_old elements (NULL: none), which is freed. NULL when there is no
 * memory, and then the array is as it was.
 */
void *vly_mem_grow(const struct volley_allocator *allocator, void *old, size_t n_old, size_t n_new,
		   size_t size);

/*
 * Large pools: mapped, not allocated, so that only what is touched becomes resident. Page aligned;
 * what they hold is undefined. NULL when there is none. Given back with the same allocator.
 */
void *vly_mem_map(const struct volley_allocator *allocator, size_t n_bytes);
void vly_mem_unmap(const struct volley_allocator *allocator, void *mem, size_t n_bytes);

#endif
