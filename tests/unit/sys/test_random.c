/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/fault.h"
#include "sys/random.h"

Test(random, no_two_reads_are_the_same)
{
	uint64_t a[2] = { 0 };
	uint64_t b[2] = { 0 };

	cr_assert_eq(vly_random_read(a, sizeof a), 0);
	cr_assert_eq(vly_random_read(b, sizeof b), 0);
	cr_assert_neq(a[0], b[0]);
	cr_assert_neq(a[1], b[1], "to the last byte");
}

Test(random, no_more_than_was_asked_for)
{
	uint8_t bytes[257];

	memset(bytes, 0x5a, sizeof bytes);
	cr_assert_eq(vly_random_read(bytes, 0), 0);
	cr_assert_eq(bytes[0], 0x5a);
	cr_assert_eq(vly_random_read(bytes, 256), 0, "the most that there is at once");
	cr_assert_eq(bytes[256], 0x5a);
}

static int n_interrupted;

static int interrupt(enum fault_function function, const void *site, long detail)
{
	(void)site;
	if (function != FAULT_SYSCALL || detail != SYS_getrandom || n_interrupted == 2)
		return 0;
	n_interrupted++;
	return EINTR;
}

Test(random, a_signal_is_no_failure)
{
	uint64_t a = 0;

	fault_set_judge(interrupt);
	cr_assert_eq(vly_random_read(&a, sizeof a), 0);
	fault_set_judge(NULL);
	cr_assert_eq(n_interrupted, 2);
	cr_assert_neq(a, 0);
}

Test(random, a_refusal_is_told)
{
	uint64_t a;

	fault_arm(FAULT_SYSCALL, 1, ENOSYS);
	cr_assert_eq(vly_random_read(&a, sizeof a), -ENOSYS);
	cr_assert_eq(fault_disarm(), 1);
}
