/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_MEM_H
#define VLY_BASE_MEM_H

#include <stddef.h>

/*
 * Memory, zeroed and aligned to VLY_CACHE_LINE; n * size is checked for overflow. NULL when there
 * is none. Tests make the n-th allocation fail by wrapping the C library's calls at link time
 * (tests/lib/fault.h), so there is no hook to pay for here.
 */
void *vly_mem_new(size_t n, size_t size);
void vly_mem_free(void *mem);

/*
 * Large pools: mapped, not allocated, so that only what is touched becomes resident. Page aligned
 * and zero. NULL when there is none.
 */
void *vly_mem_map(size_t n_bytes);
void vly_mem_unmap(void *mem, size_t n_bytes);

#endif
