/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_TIMERFD_H
#define VLY_SYS_TIMERFD_H

/*
 * A timer of the kernel's as a descriptor (timerfd_create(2), Linux 2.6.25), which ends a wait in
 * poll or epoll at a time of the monotonic clock, to the microsecond.
 */

#include <stdint.h>

/* One that is not set and could be, or -errno. */
int vly_timerfd_open(void);
void vly_timerfd_close(int fd); /* -1 is fine */

/*
 * Set it: readable from that time on, until it is set again; UINT64_MAX: not at all. 0 or -errno.
 */
int vly_timerfd_set(int fd, uint64_t at_ns);

#endif
