/* SPDX-License-Identifier: MIT */

/*
 * The two kinds of memory that volley has: small objects, zeroed and on their own cache lines so
 * that no two threads' objects share one, and large pools that are mapped and become resident page
 * by page. All of it is taken before the first datagram.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compiler.h"
#include "base/mem.h"

void *vly_mem_new(size_t n, size_t size)
{
	size_t n_bytes;
	void *mem;

	if (size != 0 && n > (SIZE_MAX - VLY_CACHE_LINE) / size)
		return NULL;
	/* Whole lines, and at least one: the end of an object is nobody else's line either. */
	n_bytes = (n * size + VLY_CACHE_LINE - 1) / VLY_CACHE_LINE * VLY_CACHE_LINE;
	if (n_bytes == 0)
		n_bytes = VLY_CACHE_LINE;
	mem = aligned_alloc(VLY_CACHE_LINE, n_bytes);
	if (mem != NULL)
		memset(mem, 0, n_bytes);
	return mem;
}

void vly_mem_free(void *mem)
{
	free(mem);
}

void *vly_mem_map(size_t n_bytes)
{
	void *mem = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

void vly_mem_unmap(void *mem, size_t n_bytes)
{
	if (mem != NULL)
		munmap(mem, n_bytes);
}
