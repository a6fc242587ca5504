/* SPDX-License-Identifier: MIT */

/* poll and epoll. */

#include "sys/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include <volley/mmsg.h>

#include "sys/clock.h"
#include "sys/raw.h"

/*
 * The result of a wait. One that the kernel refuses becomes a short sleep with something to look at
 * behind it, so that no loop around a wait is ever busy or deaf. timeout_ns < 0: no limit.
 */
static int settle(struct pollfd *fds, uint32_t n, int64_t timeout_ns, int r)
{
	bool is_short = timeout_ns >= 0 && timeout_ns < (int64_t)VLY_CLOCK_LOOK_NS;
	int n_ready = 0;

	if (r >= 0 || r == -EINTR || r == -ECANCELED)
		return r;
	vly_clock_sleep_ns(is_short ? (uint64_t)timeout_ns : VLY_CLOCK_LOOK_NS);
	for (uint32_t i = 0; i < n; i++) {
		fds[i].revents = 0;
		if (fds[i].fd >= 0)
			fds[i].revents = fds[i].events;
		n_ready += fds[i].revents != 0;
	}
	return n_ready;
}

int vly_poll_wait(struct pollfd *fds, uint32_t n, int timeout_ms)
{
	return settle(fds, n, (int64_t)timeout_ms * 1000000, vly_raw_poll(fds, n, timeout_ms));
}

int vly_poll_wait_point(struct pollfd *fds, uint32_t n, int64_t timeout_ns)
{
	const struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000),
					  .tv_nsec = (long)(timeout_ns % 1000000000) };

	return settle(fds, n, timeout_ns,
		      volley_ppoll(fds, n, timeout_ns < 0 ? NULL : &timeout, NULL));
}

int vly_poll_open(void)
{
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	/* Refused later, it would be told to nobody, and the loop that asks could not sleep. */
	r = vly_raw_epoll_wait(fd, &event, 1);
	if (r >= 0)
		return fd;
	vly_raw_close(fd);
	return r;
}

void vly_poll_close(int poll_fd)
{
	if (poll_fd >= 0)
		vly_raw_close(poll_fd);
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
		vly_raw_close(fds[0]);
		vly_raw_close(fds[1]);
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
	return vly_raw_epoll_wait(poll_fd, ret_events, (int)n);
}
