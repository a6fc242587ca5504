/* SPDX-License-Identifier: MIT */

/* The eventfd as a wake. Its count says nothing: a hundred posts are one wake. */

#include "sys/wake.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "sys/raw.h"

/* It is written and read once, because nobody could be told later that a filter refuses that. */
int vly_wake_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count = 1;
	int r;

	if (fd < 0)
		return -errno;
	r = vly_raw_write(fd, &count, sizeof count);
	if (r >= 0)
		r = vly_raw_read(fd, &count, sizeof count);
	if (r >= 0)
		return fd;
	vly_raw_close(fd);
	return r;
}

void vly_wake_close(int fd)
{
	if (fd >= 0)
		vly_raw_close(fd);
}

void vly_wake_post(int fd)
{
	const uint64_t one = 1;
	int saved = errno;
	int r = vly_raw_write(fd, &one, sizeof one);

	/* EAGAIN: the counter is full, and then the descriptor is readable anyway. */
	assert(fd >= 0 && (r > 0 || r == -EAGAIN));
	(void)r; /* without assertions */
	errno = saved;
}

bool vly_wake_take(int fd)
{
	uint64_t count;

	return vly_raw_read(fd, &count, sizeof count) > 0;
}
