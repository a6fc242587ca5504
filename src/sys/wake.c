/* SPDX-License-Identifier: MIT */

/* The eventfd as a wake. Its count says nothing: a hundred posts are one wake. */

#include "sys/wake.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* It is written and read once, because nobody could be told later that a filter refuses that. */
int vly_wake_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count = 1;

	if (fd < 0)
		return -errno;
	if (write(fd, &count, sizeof count) < 0 || read(fd, &count, sizeof count) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

void vly_wake_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vly_wake_post(int fd)
{
	const uint64_t one = 1;
	int saved = errno;

	assert(fd >= 0);
	/* EAGAIN: the counter is full, and then the descriptor is readable anyway. */
	if (write(fd, &one, sizeof one) < 0) {
		assert(errno == EAGAIN);
		errno = saved;
	}
}

bool vly_wake_take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof count) > 0;
}
