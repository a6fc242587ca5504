/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <volley/config.h>

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

		uint8_t *mem = vly_mem_new(NULL, n, 3);

		cr_assert_not_null(mem);
		cr_assert_eq((uintptr_t)mem % VLY_CACHE_LINE, 0);
		cr_assert(is_zero(mem, n * 3));
		memset(mem, 0xff, n * 3);
		vly_mem_free(mem);
	}
}

Test(mem, new_of_nothing_is_still_an_object)
{
	void *a = vly_mem_new(NULL, 0, 16);
	void *b = vly_mem_new(NULL, 16, 0);

	cr_assert_not_null(a);
	cr_assert_not_null(b);
	cr_assert_neq(a, b);
	vly_mem_free(a);
	vly_mem_free(b);
}

Test(mem, new_refuses_what_overflows)
{
	cr_assert_null(vly_mem_new(NULL, SIZE_MAX, 2));
	cr_assert_null(vly_mem_new(NULL, SIZE_MAX / 2 + 2, 2));
	cr_assert_null(vly_mem_new(NULL, SIZE_MAX, 1)); /* only the rounding would overflow */
	cr_assert_null(vly_mem_new(NULL, 1, SIZE_MAX - VLY_CACHE_LINE + 1));
}

Test(mem, new_without_memory_is_null)
{
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_null(vly_mem_new(NULL, 1, 1));
	cr_assert_eq(fault_disarm(), 1);
}

Test(mem, free_of_null_is_fine)
{
	vly_mem_free(NULL);
	vly_mem_unmap(NULL, NULL, 4096);
}

/* An allocator that knows what is out, and gives what is not zero. */
struct ledger {
	size_t n_out, n_bytes_out;
	size_t last_align;
};

static void *take(size_t n_bytes, size_t align, void *arg)
{
	struct ledger *ledger = arg;
	void *mem = aligned_alloc(align, n_bytes);

	cr_assert_not_null(mem);
	cr_assert_eq(n_bytes % align, 0);
	memset(mem, 0xff, n_bytes);
	ledger->n_out++;
	ledger->n_bytes_out += n_bytes;
	ledger->last_align = align;
	return mem;
}

static void give(void *mem, size_t n_bytes, size_t align, void *arg)
{
	struct ledger *ledger = arg;

	cr_assert_not_null(mem);
	cr_assert_eq(align, ledger->last_align);
	ledger->n_out--;
	ledger->n_bytes_out -= n_bytes;
	free(mem);
}

static void *refuse(size_t n_bytes, size_t align, void *arg)
{
	(void)n_bytes, (void)align, (void)arg;
	return NULL;
}

Test(mem, an_allocator_gets_its_objects_back)
{
	struct ledger ledger = { 0 };
	struct volley_allocator allocator = { take, give, &ledger };

	for (size_t n = 0; n < 300; n += 7) {
		uint8_t *mem = vly_mem_new(&allocator, n, 3);

		cr_assert_eq((uintptr_t)mem % VLY_CACHE_LINE, 0);
		cr_assert(is_zero(mem, n * 3));
		memset(mem, 0xff, n * 3);
		cr_assert_eq(ledger.n_out, 1);
		vly_mem_free(mem);
		cr_assert_eq(ledger.n_out, 0);
		cr_assert_eq(ledger.n_bytes_out, 0, "the same sizes, not only as many");
	}
	cr_assert_null(vly_mem_new(&allocator, SIZE_MAX, 2), "and is not asked for what overflows");
}

Test(mem, an_allocator_gets_its_pools_back)
{
	struct ledger ledger = { 0 };
	struct volley_allocator allocator = { take, give, &ledger };
	uint8_t *mem = vly_mem_map(&allocator, 5000);

	cr_assert_eq((uintptr_t)mem % 4096, 0);
	cr_assert_eq(ledger.n_bytes_out, 8192);
	vly_mem_unmap(&allocator, mem, 5000);
	cr_assert_eq(ledger.n_bytes_out, 0);
	vly_mem_unmap(&allocator, NULL, 5000);
	cr_assert_null(vly_mem_map(&allocator, SIZE_MAX - 4000), "nor for what overflows");
	vly_mem_free(NULL);
}

Test(mem, an_allocator_without_memory_is_null)
{
	struct volley_allocator allocator = { refuse, give, NULL };

	cr_assert_null(vly_mem_new(&allocator, 1, 1));
	cr_assert_null(vly_mem_map(&allocator, 1));
}

Test(mem, a_grown_array_keeps_what_was_in_it)
{
	uint32_t *array = vly_mem_grow(NULL, NULL, 0, 4, sizeof *array);

	cr_assert_not_null(array);
	cr_assert(is_zero((uint8_t *)array, 4 * sizeof *array));
	for (uint32_t i = 0; i < 4; i++)
		array[i] = i + 1;
	array = vly_mem_grow(NULL, array, 4, 100, sizeof *array);
	cr_assert_not_null(array);
	for (uint32_t i = 0; i < 4; i++)
		cr_assert_eq(array[i], i + 1);
	cr_assert(is_zero((uint8_t *)(array + 4), 96 * sizeof *array));
	vly_mem_free(array);
}

Test(mem, an_array_that_cannot_grow_is_as_it_was)
{
	uint8_t *array = vly_mem_grow(NULL, NULL, 0, 4, 1);

	memset(array, 7, 4);
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_null(vly_mem_grow(NULL, array, 4, 100, 1));
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_null(vly_mem_grow(NULL, array, 4, SIZE_MAX, 2), "it would overflow");
	for (int i = 0; i < 4; i++)
		cr_assert_eq(array[i], 7);
	vly_mem_free(array);
}

Test(mem, an_allocator_gets_the_smaller_array_back)
{
	struct ledger ledger = { 0 };
	struct volley_allocator allocator = { take, give, &ledger };
	void *array = vly_mem_grow(&allocator, NULL, 0, 100, 8);

	array = vly_mem_grow(&allocator, array, 100, 1000, 8);
	cr_assert_not_null(array);
	cr_assert_eq(ledger.n_out, 1);
	vly_mem_free(array);
	cr_assert_eq(ledger.n_bytes_out, 0);
}

Test(mem, map_is_page_aligned_and_zero)
{
	long page = sysconf(_SC_PAGESIZE);
	size_t n = (size_t)page * 5 + 1;
	uint8_t *mem = vly_mem_map(NULL, n);

	cr_assert_not_null(mem);
	cr_assert_eq((uintptr_t)mem % (uintptr_t)page, 0);
	cr_assert(is_zero(mem, n));
	memset(mem, 0xff, n);
	vly_mem_unmap(NULL, mem, n);
}

Test(mem, map_is_resident_only_where_touched)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char resident[64];
	uint8_t *mem = vly_mem_map(NULL, 64 * page);
	int n = 0;

	cr_assert_not_null(mem);
	mem[3 * page] = 1;
	cr_assert_eq(mincore(mem, 64 * page, resident), 0);
	for (int i = 0; i < 64; i++)
		n += resident[i] & 1;
	cr_assert_eq(n, 1);
	vly_mem_unmap(NULL, mem, 64 * page);
}

Test(mem, unmap_gives_it_back)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char resident[1];
	uint8_t *mem = vly_mem_map(NULL, page);

	vly_mem_unmap(NULL, mem, page);
	cr_assert_eq(mincore(mem, page, resident), -1);
	cr_assert_eq(errno, ENOMEM);
}

Test(mem, map_without_memory_is_null)
{
	fault_arm(FAULT_MMAP, 1, ENOMEM);
	cr_assert_null(vly_mem_map(NULL, 4096));
	cr_assert_eq(fault_disarm(), 1);
}
