/* SPDX-License-Identifier: MIT */

/* Places of a table: each is somebody's once, and what was given back is taken before new ones. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>

#include "data/indexes.h"
#include "lib/fault.h"

static uint32_t take(struct vly_indexes *indexes)
{
	uint32_t index = UINT32_MAX;

	cr_assert_eq(vly_indexes_take(indexes, NULL, &index), 0);
	return index;
}

Test(indexes, they_begin_at_0_and_are_used_again)
{
	struct vly_indexes indexes = { .n = 0 };

	for (uint32_t i = 0; i < 100; i++)
		cr_assert_eq(take(&indexes), i);
	vly_indexes_put(&indexes, 3);
	vly_indexes_put(&indexes, 98);
	cr_assert_eq(vly_indexes_count(&indexes), 98);
	cr_assert_eq(take(&indexes), 98);
	cr_assert_eq(take(&indexes), 3);
	cr_assert_eq(take(&indexes), 100);
	vly_indexes_fini(&indexes);
	cr_assert_eq(take(&indexes), 0);
	vly_indexes_fini(&indexes);
}

Test(indexes, whatever_is_taken_is_nobody_elses)
{
	struct vly_indexes indexes = { .n = 0 };
	bool is_taken[1000] = { false };
	uint32_t seed = 1;

	for (int i = 0; i < 100000; i++) {
		uint32_t index;

		seed = seed * 1664525 + 1013904223;
		index = (seed >> 8) % 1000;
		if (is_taken[index]) {
			vly_indexes_put(&indexes, index);
			is_taken[index] = false;
		} else if (vly_indexes_count(&indexes) < 1000) {
			index = take(&indexes);
			cr_assert_lt(index, 1000, "no more places than were ever in use at a time");
			cr_assert_not(is_taken[index]);
			is_taken[index] = true;
		}
	}
	vly_indexes_fini(&indexes);
}

Test(indexes, without_memory_none_is_taken)
{
	struct vly_indexes indexes = { .n = 0 };
	uint32_t index = 77;

	for (uint32_t i = 0; i < 8; i++)
		take(&indexes);
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(vly_indexes_take(&indexes, NULL, &index), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(index, 77);
	cr_assert_eq(take(&indexes), 8);
	vly_indexes_fini(&indexes);
}
