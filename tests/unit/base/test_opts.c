/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/opts.h"

/* The same struct over three releases. */
struct v1 {
	size_t size;
	uint64_t a;
};

struct v2 {
	size_t size;
	uint64_t a;
	uint64_t b;
};

struct v3 {
	size_t size;
	uint64_t a;
	uint64_t b;
	uint64_t c;
};

#define N_MIN sizeof(struct v1)

static struct v2 dirty(void)
{
	struct v2 dst;

	memset(&dst, 0xee, sizeof dst);
	return dst;
}

Test(opts, init_sets_the_callers_size_and_nothing_beyond)
{
	struct v2 opts = dirty();

	vly_opts_init(&opts, sizeof(struct v1));
	cr_assert_eq(opts.size, sizeof(struct v1));
	cr_assert_eq(opts.a, 0);
	cr_assert_eq(opts.b, UINT64_C(0xeeeeeeeeeeeeeeee));
	vly_opts_init(NULL, sizeof opts);
	vly_opts_init(&opts, sizeof(size_t) - 1);
	cr_assert_eq(opts.size, sizeof(struct v1), "where no size fits nothing is written");
}

Test(opts, read_null_is_all_defaults)
{
	struct v2 dst = dirty();

	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, NULL), 0);
	cr_assert_eq(dst.size, sizeof dst);
	cr_assert_eq(dst.a, 0);
	cr_assert_eq(dst.b, 0);
}

Test(opts, read_same)
{
	struct v2 dst = dirty(), src = { sizeof src, 1, 2 };

	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), 0);
	cr_assert_eq(dst.size, sizeof dst);
	cr_assert_eq(dst.a, 1);
	cr_assert_eq(dst.b, 2);
}

Test(opts, read_older_caller)
{
	struct v2 dst = dirty();
	struct v1 src = { sizeof src, 1 };

	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), 0);
	cr_assert_eq(dst.size, sizeof dst);
	cr_assert_eq(dst.a, 1);
	cr_assert_eq(dst.b, 0);
}

Test(opts, read_newer_caller_who_asks_for_nothing_new)
{
	struct v2 dst = dirty();
	struct v3 src = { sizeof src, 1, 2, 0 };

	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), 0);
	cr_assert_eq(dst.size, sizeof dst);
	cr_assert_eq(dst.b, 2);
}

Test(opts, read_newer_caller_who_asks_for_something_new)
{
	struct v2 dst = dirty(), before = dst;
	struct v3 src = { sizeof src, 1, 2, UINT64_C(1) << 56 };

	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), -E2BIG);
	cr_assert_eq(memcmp(&dst, &before, sizeof dst), 0, "unwritten on failure");
}

Test(opts, read_refuses_a_size_that_nobody_set)
{
	struct v2 dst = dirty(), before = dst;
	struct v2 src = { 0, 1, 2 };

	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), -EINVAL);
	src.size = N_MIN - 1;
	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), -EINVAL);
	src.size = (size_t)-1;
	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), -E2BIG);
	cr_assert_eq(memcmp(&dst, &before, sizeof dst), 0, "unwritten on failure");
}

Test(opts, read_of_a_caller_of_one_page_is_looked_at_in_full)
{
	static struct {
		struct v2 head;
		uint8_t tail[4096 - sizeof(struct v2)];
	} src = { .head = { 4096, 1, 2 } };
	struct v2 dst = dirty();

	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), 0);
	src.tail[sizeof src.tail - 1] = 1;
	cr_assert_eq(vly_opts_read(&dst, sizeof dst, N_MIN, &src), -E2BIG);
}

Test(opts, write_same)
{
	struct v2 dst = dirty(), src = { 999, 1, 2 };

	dst.size = sizeof dst;
	cr_assert_eq(vly_opts_write(&dst, N_MIN, &src, sizeof src), 0);
	cr_assert_eq(dst.size, sizeof dst);
	cr_assert_eq(dst.a, 1);
	cr_assert_eq(dst.b, 2);
}

Test(opts, write_to_an_older_caller_stops_at_its_end)
{
	struct v2 dst = dirty(), src = { sizeof src, 1, 2 };

	dst.size = sizeof(struct v1);
	cr_assert_eq(vly_opts_write(&dst, N_MIN, &src, sizeof src), 0);
	cr_assert_eq(dst.size, sizeof(struct v1));
	cr_assert_eq(dst.a, 1);
	cr_assert_eq(dst.b, UINT64_C(0xeeeeeeeeeeeeeeee));
}

Test(opts, write_to_a_newer_caller_zeroes_what_we_do_not_know)
{
	struct v3 dst = { sizeof dst, 7, 7, 7 };
	struct v2 src = { sizeof src, 1, 2 };

	cr_assert_eq(vly_opts_write(&dst, N_MIN, &src, sizeof src), 0);
	cr_assert_eq(dst.size, sizeof dst);
	cr_assert_eq(dst.b, 2);
	cr_assert_eq(dst.c, 0);
}

Test(opts, write_refuses_a_size_that_nobody_set)
{
	struct v2 dst = dirty(), src = { sizeof src, 1, 2 };

	dst.size = N_MIN - 1;
	cr_assert_eq(vly_opts_write(&dst, N_MIN, &src, sizeof src), -EINVAL);
	dst.size = (size_t)-1;
	cr_assert_eq(vly_opts_write(&dst, N_MIN, &src, sizeof src), -E2BIG);
	cr_assert_eq(dst.a, UINT64_C(0xeeeeeeeeeeeeeeee));
}
