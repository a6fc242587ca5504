/* SPDX-License-Identifier: MIT */

/* Whether anybody holds something, as a descriptor. */

#include "sys/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/raw.h"

int vly_lease_open(int *ret_watch_fd)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*ret_watch_fd = fds[0];
	return fds[1];
}

/* Only a pipe has a size of that kind. */
static bool is_end(int fd, int mode)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) == mode && fcntl(fd, F_GETPIPE_SZ) >= 0;
}

bool vly_lease_is_hold(int fd)
{
	return is_end(fd, O_WRONLY);
}

bool vly_lease_is_watch(int fd)
{
	return is_end(fd, O_RDONLY);
}

/* Asked for nothing, poll() tells these two. A pipe says the one of its reading end only. */
bool vly_lease_is_over(int fd)
{
	struct pollfd pollfd = { .fd = fd };

	return vly_raw_poll(&pollfd, 1, 0) > 0 && (pollfd.revents & (POLLHUP | POLLERR));
}
