/* SPDX-License-Identifier: MIT */

/* What is learnt from a refused message, and for how long. */

#include <criterion/criterion.h>
#include <errno.h>

#include "path/limits.h"

#define MINUTE_NS UINT64_C(60000000000)

static const struct vly_coalesce_limits start = { .n_segments = 64, .segment_bytes = 65507 };

Test(limits, a_size_that_the_path_refuses_is_lowered_by_one)
{
	struct vly_limits limits;

	vly_limits_init(&limits, &start);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 65507);
	cr_assert_not(vly_limits_is_lowered(&limits));
	cr_assert(vly_limits_lower(&limits, 1400, -EMSGSIZE, 5), "the first one is told");
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 1399);
	cr_assert_eq(vly_limits_get(&limits)->n_segments, 64);
	cr_assert(vly_limits_is_lowered(&limits));
	cr_assert_not(vly_limits_lower(&limits, 1399, -EINVAL, 5), "the others are not");
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 1398);
}

Test(limits, no_path_refuses_1232_bytes)
{
	struct vly_limits limits;

	vly_limits_init(&limits, &start);
	vly_limits_lower(&limits, 1233, -EMSGSIZE, 0);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 1232);
	vly_limits_lower(&limits, 1232, -EMSGSIZE, 0);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 1232);
	vly_limits_lower(&limits, 100, -EMSGSIZE, 0);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 1232);
}

Test(limits, after_a_minute_the_size_is_tried_again)
{
	struct vly_limits limits;

	vly_limits_init(&limits, &start);
	vly_limits_lower(&limits, 1400, -EMSGSIZE, 7);
	vly_limits_raise(&limits, &start, 7 + MINUTE_NS - 1);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 1399);
	vly_limits_raise(&limits, &start, 7 + MINUTE_NS);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 65507);
	cr_assert_not(vly_limits_is_lowered(&limits));
	cr_assert_not(vly_limits_lower(&limits, 1400, -EMSGSIZE, 7), "the log knows already");
}

Test(limits, a_device_that_refuses_three_times_is_asked_no_more)
{
	struct vly_limits limits;

	vly_limits_init(&limits, &start);
	cr_assert(vly_limits_lower(&limits, 1000, -EIO, 0));
	cr_assert_not(vly_limits_lower(&limits, 1000, -ENOPROTOOPT, 0));
	cr_assert_eq(vly_limits_get(&limits)->n_segments, 64, "it may be a route in change");
	cr_assert_not(vly_limits_lower(&limits, 1000, -EIO, 0));
	cr_assert_eq(vly_limits_get(&limits)->n_segments, 1);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 65507);
	vly_limits_raise(&limits, &start, UINT64_MAX);
	cr_assert_eq(vly_limits_get(&limits)->n_segments, 1, "that does not heal");
}

Test(limits, other_errors_teach_nothing_but_are_told)
{
	struct vly_limits limits;

	vly_limits_init(&limits, &start);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(vly_limits_lower(&limits, 1000, -EPERM, 0), i == 0);
	cr_assert_eq(vly_limits_get(&limits)->segment_bytes, 65507);
	cr_assert_eq(vly_limits_get(&limits)->n_segments, 64);
	cr_assert_not(vly_limits_is_lowered(&limits));
}
