/* SPDX-License-Identifier: MIT */

/* Signed overflow, which UndefinedBehaviorSanitizer has to stop at. */

#include <limits.h>

#include <criterion/criterion.h>

Test(planted, undefined)
{
	volatile int big = INT_MAX;

	big = big + 1;
	cr_assert(big != 0);
}
