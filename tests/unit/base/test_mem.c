/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "lib/fault.h"

static bool is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

Test(mem, new_is_aligned_zero_and_writable_to_its_end)
{
	for (size_t n = 0; n < 300; n += 7) {
		/* Dirty what the allocator will hand out again. */
		void *dirty = malloc(n + VLY_CACHE_LINE);

		memset(dirty, 0xff, n + VLY_CACHE_LINE);
		free(dirty);

		uint8_t *mem = vly_mem_new(n, 3);

		cr_assert_not_null(mem);
		cr_assert_eq((uintptr_t)mem % VLY_CACHE_LINE, 0);
		cr_assert(is_zero(mem, n * 3));
		memset(mem, 0xff, n * 3);
		vly_mem_free(mem);
	}
}

Test(mem, new_of_nothing_is_still_an_object)
{
	void *a = vly_mem_new(0, 16);
	void *b = vly_mem_new(16, 0);

	cr_assert_not_null(a);
	cr_assert_not_null(b);
	cr_assert_neq(a, b);
	vly_mem_free(a);
	vly_mem_free(b);
}

Test(mem, new_refuses_what_overflows)
{
	cr_assert_null(vly_mem_new(SIZE_MAX, 2));
	cr_assert_null(vly_mem_new(SIZE_MAX / 2 + 2, 2));
	cr_assert_null(vly_mem_new(SIZE_MAX, 1)); /* only the rounding would overflow */
	cr_assert_null(vly_mem_new(1, SIZE_MAX - VLY_CACHE_LINE + 1));
}

Test(mem, new_without_memory_is_null)
{
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_null(vly_mem_new(1, 1));
	cr_assert_eq(fault_disarm(), 1);
}

Test(mem, free_of_null_is_fine)
{
	vly_mem_free(NULL);
	vly_mem_unmap(NULL, 4096);
}

Test(mem, map_is_page_aligned_and_zero)
{
	long page = sysconf(_SC_PAGESIZE);
	size_t n = (size_t)page * 5 + 1;
	uint8_t *mem = vly_mem_map(n);

	cr_assert_not_null(mem);
	cr_assert_eq((uintptr_t)mem % (uintptr_t)page, 0);
	cr_assert(is_zero(mem, n));
	memset(mem, 0xff, n);
	vly_mem_unmap(mem, n);
}

Test(mem, map_is_resident_only_where_touched)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char resident[64];
	uint8_t *mem = vly_mem_map(64 * page);
	int n = 0;

	cr_assert_not_null(mem);
	mem[3 * page] = 1;
	cr_assert_eq(mincore(mem, 64 * page, resident), 0);
	for (int i = 0; i < 64; i++)
		n += resident[i] & 1;
	cr_assert_eq(n, 1);
	vly_mem_unmap(mem, 64 * page);
}

Test(mem, unmap_gives_it_back)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char resident[1];
	uint8_t *mem = vly_mem_map(page);

	vly_mem_unmap(mem, page);
	cr_assert_eq(mincore(mem, page, resident), -1);
	cr_assert_eq(errno, ENOMEM);
}

Test(mem, map_without_memory_is_null)
{
	fault_arm(FAULT_MMAP, 1, ENOMEM);
	cr_assert_null(vly_mem_map(4096));
	cr_assert_eq(fault_disarm(), 1);
}
