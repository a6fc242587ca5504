/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "sys/wake.h"

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

Test(wake, many_posts_are_one_wake)
{
	int n_fds = loopback_n_fds();
	int fd = vly_wake_open();

	cr_assert_geq(fd, 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_not(is_readable(fd));
	cr_assert_not(vly_wake_take(fd), "and it does not sleep");
	for (int i = 0; i < 3; i++)
		vly_wake_post(fd);
	cr_assert(is_readable(fd));
	cr_assert(vly_wake_take(fd));
	cr_assert_not(is_readable(fd));
	cr_assert_not(vly_wake_take(fd));
	vly_wake_close(fd);
	vly_wake_close(-1);
	cr_assert_eq(loopback_n_fds(), n_fds);
}

/* A signal handler posts, too. */
Test(wake, a_full_one_is_readable_all_the_same_and_errno_is_kept)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd = vly_wake_open();

	cr_assert_eq(write(fd, &most, sizeof most), sizeof most);
	errno = 4711;
	vly_wake_post(fd);
	cr_assert_eq(errno, 4711);
	cr_assert(vly_wake_take(fd));
	cr_assert_not(vly_wake_take(fd));
	vly_wake_close(fd);
}

Test(wake, without_a_descriptor_there_is_none)
{
	fault_arm(FAULT_EVENTFD, 1, EMFILE);
	cr_assert_eq(vly_wake_open(), -EMFILE);
	cr_assert_eq(fault_disarm(), 1);
}

Test(wake, one_that_may_not_be_written_or_read_is_none)
{
	int n_fds = loopback_n_fds();

	fault_arm(FAULT_WRITE, 1, EPERM);
	cr_assert_eq(vly_wake_open(), -EPERM);
	fault_arm(FAULT_READ, 1, ENOSYS);
	cr_assert_eq(vly_wake_open(), -ENOSYS);
	fault_disarm();
	cr_assert_eq(loopback_n_fds(), n_fds);
}
