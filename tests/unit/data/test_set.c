/* SPDX-License-Identifier: MIT */

/* Sets of keys: adding, removing in any order among neighbours, growing, becoming equal. */

#include <criterion/criterion.h>
#include <errno.h>

#include "data/set.h"
#include "lib/fault.h"

static void add(struct vly_set *set, uint64_t key)
{
	cr_assert_eq(vly_set_add(set, NULL, key), 0);
}

Test(set, an_empty_one_has_nothing)
{
	struct vly_set set = { .n = 0 };

	cr_assert_not(vly_set_has(&set, 0));
	cr_assert_not(vly_set_has(&set, 5));
	vly_set_remove(&set, 5);
	vly_set_fini(&set);
}

Test(set, what_was_added_is_there_once)
{
	struct vly_set set = { .n = 0 };

	for (int i = 0; i < 2; i++) {
		add(&set, 0);
		add(&set, 7);
	}
	cr_assert_eq(set.n, 2);
	cr_assert(vly_set_has(&set, 0) && vly_set_has(&set, 7));
	cr_assert_not(vly_set_has(&set, 8));
	vly_set_remove(&set, 0);
	vly_set_remove(&set, 0);
	cr_assert_eq(set.n, 1);
	cr_assert_not(vly_set_has(&set, 0));
	vly_set_fini(&set);
}

/* Keys of few places, at the table's end too: removing one must lose none of the others. */
Test(set, random_changes_against_a_plain_array)
{
	struct vly_set set = { .n = 0 };
	bool is[64] = { false };
	uint32_t n = 0;
	unsigned int seed = 1;

	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		uint32_t k = seed >> 16 & 63;
		uint64_t key = (uint64_t)(k + 1) << 32 | (13 + k % 5); /* places 13 to 17 */

		if (seed >> 24 & 1)
			add(&set, key);
		else
			vly_set_remove(&set, key);
		n += (uint32_t)(seed >> 24 & 1) - is[k];
		is[k] = seed >> 24 & 1;
		cr_assert_eq(set.n, n);
		for (uint32_t other = 0; other < 64; other++)
			cr_assert_eq(
				vly_set_has(&set, (uint64_t)(other + 1) << 32 | (13 + other % 5)),
				is[other], "step %d, key %u", i, other);
	}
	vly_set_fini(&set);
}

Test(set, it_becomes_equal_to_another)
{
	struct vly_set set = { .n = 0 };
	struct vly_set other = { .n = 0 };

	for (uint64_t key = 1; key <= 100; key++)
		add(&set, key);
	for (uint64_t key = 51; key <= 200; key++)
		add(&other, key);
	cr_assert_eq(vly_set_fill(&set, NULL, &other), 0);
	cr_assert_eq(set.n, 150);
	for (uint64_t key = 0; key <= 300; key++)
		cr_assert_eq(vly_set_has(&set, key), key >= 51 && key <= 200);
	vly_set_fini(&other);
	cr_assert_eq(vly_set_fill(&set, NULL, &other), 0);
	cr_assert_eq(set.n, 0);
	vly_set_fini(&set);
}

Test(set, without_memory_it_stays_as_it_was)
{
	struct vly_set set = { .n = 0 };

	for (uint64_t key = 1; key <= 8; key++)
		add(&set, key);
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(vly_set_add(&set, NULL, 9), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(set.n, 8);
	cr_assert(vly_set_has(&set, 8));
	cr_assert_not(vly_set_has(&set, 9));
	vly_set_fini(&set);
}
