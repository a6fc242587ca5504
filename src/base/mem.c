/* SPDX-License-Identifier: MIT */

/*
 * The two kinds of memory that volley has: small objects, zeroed and on their own cache lines so
 * that no two threads' objects share one, and large pools that are mapped and become resident page
 * by page. All of it is taken before the first datagram.
 *
 * Both come from the system, or from the allocator of the server they belong to. An object has a
 * line in front of it that remembers which, so that whoever frees it need not know:
 *
 *     | head: allocator, size | the object ...
 *
 * A pool has none, because it would not begin with its page any more; its owner remembers.
 */

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <volley/config.h>

#include "base/compiler.h"

struct head {
	VLY_ALIGNED const struct volley_allocator *allocator;
	size_t n_bytes; /* with the head */
};

static_assert(sizeof(struct head) == VLY_CACHE_LINE, "what follows is aligned as well");

/*
 * What a pool of a user's is aligned to, and its size a multiple of: aligned_alloc(3) wants that.
 * Mapped ones are by themselves.
 */
enum { POOL_ALIGN_BYTES = 4096 };

static size_t round_up(size_t n_bytes)
{
	return (n_bytes + POOL_ALIGN_BYTES - 1) / POOL_ALIGN_BYTES * POOL_ALIGN_BYTES;
}

/*
 * Arrays are often a power of two long, and allocators put one behind the other. Then all begin in
 * the same few sets of the cache, and their first parts, which are the ones in use, push one
 * another out: 0.8 misses of the first level for a datagram instead of 0.2. Room of an odd number
 * of lines behind each spreads them over the sets. A struct alone is no power of two, and there may
 * be ten thousand: what is one of its kind and less than a page has none.
 */
enum { SPREAD_FROM_BYTES = 1024, PAGE_BYTES = 4096, SPREAD_BYTES = 13 * VLY_CACHE_LINE };

void *vly_mem_new(const struct volley_allocator *allocator, size_t n, size_t size)
{
	size_t n_bytes;
	struct head *head;

	if (size != 0 && n > (SIZE_MAX - 2 * VLY_CACHE_LINE - SPREAD_BYTES) / size)
		return NULL;
	/* Whole lines, and at least one: the end of an object is nobody else's line either. */
	n_bytes = (n * size + VLY_CACHE_LINE - 1) / VLY_CACHE_LINE * VLY_CACHE_LINE;
	if (n_bytes == 0)
		n_bytes = VLY_CACHE_LINE;
	n_bytes += sizeof *head;
	if (n_bytes >= (n > 1 ? SPREAD_FROM_BYTES : PAGE_BYTES))
		n_bytes += SPREAD_BYTES;
	if (allocator != NULL)
		head = allocator->allocate(n_bytes, VLY_CACHE_LINE, allocator->arg);
	else
		head = aligned_alloc(VLY_CACHE_LINE, n_bytes);
	if (head == NULL)
		return NULL;
	memset(head, 0, n_bytes);
	head->allocator = allocator;
	head->n_bytes = n_bytes;
	return head + 1;
}

void vly_mem_free(void *mem)
{
	struct head *head = mem;
	const struct volley_allocator *allocator;

	if (mem == NULL)
		return;
	head--;
	allocator = head->allocator;
	if (allocator != NULL)
		allocator->deallocate(head, head->n_bytes, VLY_CACHE_LINE, allocator->arg);
	else
		free(head);
}

void *vly_mem_grow(const struct volley_allocator *allocator, void *old, size_t n_old, size_t n_new,
		   size_t size)
{
	void *mem = vly_mem_new(allocator, n_new, size);

	if (mem == NULL)
		return NULL;
	if (old != NULL)
		memcpy(mem, old, n_old * size);
	vly_mem_free(old);
	return mem;
}

void *vly_mem_map(const struct volley_allocator *allocator, size_t n_bytes)
{
	void *mem;

	if (n_bytes > SIZE_MAX - POOL_ALIGN_BYTES)
		return NULL;
	if (allocator != NULL)
		return allocator->allocate(round_up(n_bytes), POOL_ALIGN_BYTES, allocator->arg);
	mem = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	/* One datagram in 2 MiB would make all of it resident. Kernels without them say EINVAL. */
	madvise(mem, n_bytes, MADV_NOHUGEPAGE);
	return mem;
}

void vly_mem_unmap(const struct volley_allocator *allocator, void *mem, size_t n_bytes)
{
	if (mem == NULL)
		return;
	if (allocator != NULL)
		allocator->deallocate(mem, round_up(n_bytes), POOL_ALIGN_BYTES, allocator->arg);
	else
		munmap(mem, n_bytes);
}
