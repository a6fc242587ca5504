/* SPDX-License-Identifier: MIT */

/* poll and epoll. */

#include "sys/poll.h"

#include <errno.h>
#include <unistd.h>

int vly_poll_wait(struct pollfd *fds, uint32_t n, int timeout_ms)
{
	int r = poll(fds, n, timeout_ms);

	return r < 0 ? -errno : r;
}

int vly_poll_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void vly_poll_close(int poll_fd)
{
	if (poll_fd >= 0)
		close(poll_fd);
}

int vly_poll_set(int poll_fd, int fd, uint32_t old, uint32_t now, void *tag)
{
	struct epoll_event event = { .events = now, .data.ptr = tag };
	int how = old == 0 ? EPOLL_CTL_ADD : now == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (old == now)
		return 0;
	return epoll_ctl(poll_fd, how, fd, &event) < 0 ? -errno : 0;
}

int vly_poll_take(int poll_fd, struct epoll_event *ret_events, uint32_t n)
{
	int r = epoll_wait(poll_fd, ret_events, (int)n, 0);

	return r < 0 ? -errno : r;
}
