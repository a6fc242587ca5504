/* SPDX-License-Identifier: MIT */

/* Counts by keys: against an array, growing, and without memory. */

#include <criterion/criterion.h>
#include <errno.h>

#include "data/tally.h"
#include "lib/fault.h"

enum { N_KEYS = 500, N_STEPS = 200000 };

/* Keys whose places are neighbours, and 0 among them. */
static uint64_t get_key(uint32_t i)
{
	return i % 2 == 0 ? i : (uint64_t)i << 40;
}

Test(tally, it_counts_as_an_array_does)
{
	struct vly_tally tally = { .n = 0 };
	uint32_t counts[N_KEYS] = { 0 };
	uint32_t seed = 1, n = 0;

	cr_assert_eq(vly_tally_count(&tally, 0), 0);
	for (int step = 0; step < N_STEPS; step++) {
		uint32_t i;

		seed = seed * 1664525 + 1013904223;
		i = (seed >> 8) % N_KEYS;
		if (seed >> 31 || counts[i] == 0) {
			cr_assert_eq(vly_tally_add(&tally, NULL, get_key(i)), 0);
			n += counts[i]++ == 0;
		} else {
			vly_tally_remove(&tally, get_key(i));
			n -= --counts[i] == 0;
		}
		cr_assert_eq(tally.n, n);
		cr_assert_eq(vly_tally_count(&tally, get_key(i)), counts[i]);
		if (step % 1000 != 0)
			continue;
		for (i = 0; i < N_KEYS; i++)
			cr_assert_eq(vly_tally_count(&tally, get_key(i)), counts[i]);
	}
	cr_assert_eq(vly_tally_count(&tally, N_KEYS + 2), 0);
	vly_tally_fini(&tally);
}

Test(tally, without_memory_nothing_is_counted)
{
	struct vly_tally tally = { .n = 0 };

	for (uint64_t key = 0; key < 12; key++)
		cr_assert_eq(vly_tally_add(&tally, NULL, key), 0);
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(vly_tally_add(&tally, NULL, 12), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(vly_tally_count(&tally, 12), 0);
	cr_assert_eq(vly_tally_count(&tally, 11), 1);
	cr_assert_eq(vly_tally_add(&tally, NULL, 12), 0);
	vly_tally_fini(&tally);
}
