/* SPDX-License-Identifier: MIT */

/* The kernel's timer: when it is readable, and when it is not to be had. */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "sys/clock.h"
#include "sys/timerfd.h"

TestSuite(timerfd, .timeout = 60);

static bool is_over(int fd, int timeout_ms)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };

	return poll(&waits, 1, timeout_ms) > 0;
}

Test(timerfd, it_is_over_at_its_time_and_not_before)
{
	int fd = vly_timerfd_open();

	cr_assert_geq(fd, 0);
	cr_assert_not(is_over(fd, 0));
	for (uint64_t delay_ns = 1000; delay_ns < 20000000; delay_ns *= 3) {
		uint64_t at_ns = vly_clock_get_ns() + delay_ns;

		cr_assert_eq(vly_timerfd_set(fd, at_ns), 0);
		cr_assert(is_over(fd, -1));
		cr_assert_geq(vly_clock_get_ns(), at_ns);
		cr_assert(is_over(fd, 0), "until it is set again");
	}
	vly_timerfd_close(fd);
}

Test(timerfd, to_set_it_takes_back_that_it_was_over)
{
	int fd = vly_timerfd_open();

	for (uint64_t at_ns = 0; at_ns < 2; at_ns++) { /* long over, and no `not at all` */
		cr_assert_eq(vly_timerfd_set(fd, at_ns), 0);
		cr_assert(is_over(fd, -1));
	}
	cr_assert_eq(vly_timerfd_set(fd, vly_clock_get_ns() + UINT64_C(3600000000000)), 0);
	cr_assert_not(is_over(fd, 0));
	cr_assert_eq(vly_timerfd_set(fd, 1), 0);
	cr_assert_eq(vly_timerfd_set(fd, UINT64_MAX), 0);
	cr_assert_not(is_over(fd, 0));
	cr_assert_eq(vly_timerfd_set(fd, UINT64_MAX - 1), 0, "the kernel takes any time");
	cr_assert_not(is_over(fd, 0));
	vly_timerfd_close(fd);
	vly_timerfd_close(-1);
}

Test(timerfd, what_the_system_refuses_is_told_and_leaves_nothing)
{
	int n_fds = loopback_n_fds();
	int fd;

	fault_arm(FAULT_TIMERFD_CREATE, 1, EMFILE);
	cr_assert_eq(vly_timerfd_open(), -EMFILE);
	fault_arm(FAULT_TIMERFD_SETTIME, 1, EPERM);
	cr_assert_eq(vly_timerfd_open(), -EPERM);
	cr_assert_eq(loopback_n_fds(), n_fds);
	fd = vly_timerfd_open();
	fault_arm(FAULT_TIMERFD_SETTIME, 1, ENOSYS);
	cr_assert_eq(vly_timerfd_set(fd, 5), -ENOSYS);
	fault_disarm();
	vly_timerfd_close(fd);
	cr_assert_eq(loopback_n_fds(), n_fds);
}
