/* SPDX-License-Identifier: MIT */

/* A process as a descriptor. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/skip.h"
#include "sys/pidfd.h"

/* Missing before Linux 5.3 and under valgrind 3.19. */
static void need_pidfd(void)
{
	int fd = vly_pidfd_open();

	if (fd < 0)
		skip_test("no pidfd_open(2) here");
	close(fd);
}

TestSuite(pidfd, .init = need_pidfd);

Test(pidfd, this_process_lives)
{
	int fd = vly_pidfd_open();

	cr_assert_geq(fd, 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_not(vly_pidfd_is_dead(fd));
	close(fd);
}

/* Dead is dead, also while its number is kept for the parent, and later when it is another's. */
Test(pidfd, another_dies_once)
{
	int pipe_fds[2];
	char byte;
	pid_t child;
	int fd;

	cr_assert_eq(pipe(pipe_fds), 0);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		close(pipe_fds[1]);
		_exit((int)read(pipe_fds[0], &byte, 1));
	}
	fd = (int)syscall(SYS_pidfd_open, child, 0);
	cr_assert_geq(fd, 0);
	cr_assert_not(vly_pidfd_is_dead(fd));
	close(pipe_fds[1]);
	cr_assert_eq(waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT), 0);
	cr_assert(vly_pidfd_is_dead(fd), "before anybody has asked for it");
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert(vly_pidfd_is_dead(fd));
	close(fd);
	close(pipe_fds[0]);
}
