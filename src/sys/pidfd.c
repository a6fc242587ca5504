/* SPDX-License-Identifier: MIT */

/* A process as a descriptor. */

#include "sys/pidfd.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/raw.h"

int vly_pidfd_open(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? -errno : fd;
}

/* It is readable when the last thread has ended, and descriptors are closed before that. */
bool vly_pidfd_is_dead(int pidfd)
{
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };

	return vly_raw_poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN);
}
