/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_POLL_H
#define VLY_SYS_POLL_H

/* Waiting for descriptors, outside of the data path: poll, and an epoll descriptor for loops. */

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * Wait for the first of n, for at most timeout_ms (-1: no limit). How many are ready; -EINTR.
 *
 * Any other failure would come again at once: the kernel refuses more descriptors than
 * RLIMIT_NOFILE allows, which may be lowered at any time, and a filter may refuse the call. Then
 * this sleeps by the clock, VLY_CLOCK_LOOK_NS at most, and says that all are ready: look at them.
 */
int vly_poll_wait(struct pollfd *fds, uint32_t n, int timeout_ms);

/* The same as a cancellation point, in nanoseconds: also -ECANCELED. */
int vly_poll_wait_point(struct pollfd *fds, uint32_t n, int64_t timeout_ns);

/*
 * An epoll descriptor that can be waited for, or -errno. Its entries go with what it is told about
 * them: a pointer.
 */
int vly_poll_open(void);
void vly_poll_close(int poll_fd); /* -1 is fine */

/*
 * Whether there is room for one more such descriptor and a pipe that stands in it: 3 descriptors,
 * which are what an event_base is made of. They are taken and given back. 0 or -errno.
 */
int vly_poll_check_room(void);

/*
 * Have a descriptor watched: `old` and `now` are its events (EPOLLIN, EPOLLOUT) before and from now
 * on, 0 for none. 0 or -errno.
 */
int vly_poll_set(int poll_fd, int fd, uint32_t old, uint32_t now, void *tag);

/* Which entries are ready now, at most n of them. Never sleeps. How many; -errno. */
int vly_poll_take(int poll_fd, struct epoll_event *ret_events, uint32_t n);

#endif
