/* SPDX-License-Identifier: MIT */

/* Whether anybody holds something, or watches it; copies, forks and deaths. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/lease.h"

TestSuite(lease);

Test(lease, is_over_when_the_last_copy_is_closed)
{
	int watch_fd;
	int hold_fd = vly_lease_open(&watch_fd);
	int copy;

	cr_assert_geq(hold_fd, 0);
	cr_assert(fcntl(hold_fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fcntl(watch_fd, F_GETFD) & FD_CLOEXEC);
	copy = dup(hold_fd);
	cr_assert_not(vly_lease_is_over(watch_fd));
	close(hold_fd);
	cr_assert_not(vly_lease_is_over(watch_fd));
	close(copy);
	cr_assert(vly_lease_is_over(watch_fd));
	close(watch_fd);
}

Test(lease, need_not_be_held_when_nobody_watches)
{
	int watch_fd;
	int hold_fd = vly_lease_open(&watch_fd);
	int copy = dup(watch_fd);

	close(watch_fd);
	cr_assert_not(vly_lease_is_over(hold_fd));
	close(copy);
	cr_assert(vly_lease_is_over(hold_fd));
	close(hold_fd);
}

/* The child has what this process has, and ends it by its death. */
Test(lease, a_forked_child_holds_too)
{
	int watch_fd;
	int hold_fd = vly_lease_open(&watch_fd);
	int pipe_fds[2];
	char byte;
	pid_t child;

	cr_assert_eq(pipe(pipe_fds), 0);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		close(pipe_fds[1]);
		_exit((int)read(pipe_fds[0], &byte, 1));
	}
	close(hold_fd);
	cr_assert_not(vly_lease_is_over(watch_fd));
	close(pipe_fds[1]);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert(vly_lease_is_over(watch_fd));
	close(pipe_fds[0]);
	close(watch_fd);
}

/* One end is not the other, and what is no pipe is neither. */
Test(lease, ends_are_told_apart)
{
	int watch_fd;
	int hold_fd = vly_lease_open(&watch_fd);
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	cr_assert(vly_lease_is_watch(watch_fd));
	cr_assert_not(vly_lease_is_hold(watch_fd));
	cr_assert(vly_lease_is_hold(hold_fd));
	cr_assert_not(vly_lease_is_watch(hold_fd));
	cr_assert_not(vly_lease_is_watch(pair[0]));
	cr_assert_not(vly_lease_is_hold(pair[0]));
	cr_assert_not(vly_lease_is_watch(-1));
	cr_assert_not(vly_lease_is_hold(-1));
	close(pair[0]);
	close(pair[1]);
	close(watch_fd);
	close(hold_fd);
}
