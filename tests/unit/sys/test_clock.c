/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <time.h>

#include "lib/fault.h"
#include "sys/clock.h"

Test(clock, it_is_the_monotonic_one_and_never_goes_back)
{
	struct timespec ts;
	uint64_t before_ns = vly_clock_get_ns();
	uint64_t ns;

	cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	ns = (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
	cr_assert_leq(before_ns, ns);
	cr_assert_leq(ns, vly_clock_get_ns());
	for (int i = 0; i < 10000; i++) {
		ns = vly_clock_get_ns();
		cr_assert_leq(before_ns, ns);
		before_ns = ns;
	}
}

Test(clock, a_sleep_lasts_as_long_as_asked)
{
	static const uint64_t sleeps_ns[] = { 0, 1, 2000000, 1100000000 };

	for (size_t i = 0; i < sizeof sleeps_ns / sizeof sleeps_ns[0]; i++) {
		uint64_t begin_ns = vly_clock_get_ns();

		vly_clock_sleep_ns(sleeps_ns[i]);
		cr_assert_geq(vly_clock_get_ns() - begin_ns, sleeps_ns[i]);
	}
}

Test(clock, a_sleep_lasts_also_where_a_filter_refuses_ppoll)
{
	uint64_t begin_ns = vly_clock_get_ns();

	fault_arm_from(FAULT_PPOLL, 1, EPERM);
	vly_clock_sleep_ns(2000000);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_geq(vly_clock_get_ns() - begin_ns, 2000000);
}

Test(clock, microseconds_do_not_overflow)
{
	cr_assert_eq(vly_clock_convert_us(0), 0);
	cr_assert_eq(vly_clock_convert_us(1), 1000);
	cr_assert_eq(vly_clock_convert_us(UINT32_MAX), UINT64_C(4294967295000));
}
