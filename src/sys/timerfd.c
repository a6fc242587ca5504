/* SPDX-License-Identifier: MIT */

/*
 * Nobody reads it: to set it takes back that it was over, so a wake costs one call and not two.
 */

#include "sys/timerfd.h"

#include <errno.h>
#include <sys/timerfd.h>

#include "sys/raw.h"

/* It is set once, because nobody could be told later that a filter refuses that. */
int vly_timerfd_open(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = vly_timerfd_set(fd, UINT64_MAX);
	if (r >= 0)
		return fd;
	vly_raw_close(fd);
	return r;
}

void vly_timerfd_close(int fd)
{
	if (fd >= 0)
		vly_raw_close(fd);
}

/* Zero would be `not at all`, and UINT64_MAX a number like others. */
int vly_timerfd_set(int fd, uint64_t at_ns)
{
	struct itimerspec spec = { .it_value = { .tv_sec = (time_t)(at_ns / 1000000000),
						 .tv_nsec = (long)(at_ns % 1000000000) } };

	if (at_ns == UINT64_MAX)
		spec.it_value = (struct timespec){ .tv_sec = 0 };
	else if (at_ns == 0)
		spec.it_value.tv_nsec = 1;
	return timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0 ? -errno : 0;
}
