/* SPDX-License-Identifier: MIT */

/* poll and epoll. */

#include "sys/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int vly_poll_wait(struct pollfd *fds, uint32_t n, int timeout_ms)
{
	int r = poll(fds, n, timeout_ms);

	return r < 0 ? -errno : r;
}

int vly_poll_open(void)
{
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* Refused later, it would be told to nobody, and the loop that asks could not sleep. */
	if (epoll_wait(fd, &event, 1, 0) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

void vly_poll_close(int poll_fd)
{
	if (poll_fd >= 0)
		close(poll_fd);
}

int vly_poll_check_room(void)
{
	int poll_fd = vly_poll_open();
	int fds[2];
	int r;

	if (poll_fd < 0)
		return poll_fd;
	r = pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
	if (r >= 0) {
		r = vly_poll_set(poll_fd, fds[0], 0, EPOLLIN, NULL);
		close(fds[0]);
		close(fds[1]);
	}
	vly_poll_close(poll_fd);
	return r;
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
