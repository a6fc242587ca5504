/* SPDX-License-Identifier: MIT */

/* A process as a descriptor. */

#include "sys/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/raw.h"

int vly_pidfd_open(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? -errno : fd;
}

/* Signal 0 is sent to nobody (Linux 5.1); what is no process says EBADF. */
int vly_pidfd_check(int pidfd)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) >= 0)
		return 0;
	return errno == ESRCH || errno == EPERM ? 0 : -errno;
}

/* It is readable when the last thread has ended, and descriptors are closed before that. */
bool vly_pidfd_is_dead(int pidfd)
{
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };

	return vly_raw_poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN);
}

/* "Pid:" is among the first lines, behind a few numbers. */
bool vly_pidfd_is_self(int pidfd)
{
	char path[64];
	char text[512];
	const char *line;
	int fd;
	int n;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = vly_raw_read(fd, text, sizeof text - 1);
	vly_raw_close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nPid:");
	return line != NULL && strtol(line + 5, NULL, 10) == (long)getpid();
}
