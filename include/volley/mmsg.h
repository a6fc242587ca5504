/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_MMSG_H
#define VOLLEY_MMSG_H

/**
 * @file mmsg.h
 * Cancellation points: system calls that fail with -ECANCELED when a request is pending for the
 * calling thread (cancel.h), and then have done nothing.
 *
 * All return a count or -errno and leave errno alone. In a thread that is not attached, or has
 * cancellation disabled, they are the plain calls. -EINTR means that a signal handler of the
 * application without SA_RESTART ran (poll-like calls: any handler; the ppoll variant: any handler
 * in any call). In exit mode they end the thread instead of returning -ECANCELED.
 */

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Declared by <sys/socket.h> under _GNU_SOURCE. */
struct mmsghdr;

/**
 * Receive a batch: sleep until there is one message, then take what is there, up to vlen.
 *
 * Only the first message is waited for (MSG_WAITFORONE is implied). When n > 0 exactly n messages
 * were taken, and a pending request is reported by the next call; -ECANCELED means none was. There
 * is no timeout argument: wait with volley_ppoll(). An error met after the first message ends the
 * batch; if it was the socket's (a port unreachable), the next receive call on that socket reports
 * it, and no other call of anyone is made to fail for this one having been interrupted.
 *
 * @param msgs  vlen headers, contiguous
 * @param vlen  0 returns 0
 * @return how many messages were received, or -errno; -EAGAIN when MSG_DONTWAIT or O_NONBLOCK is
 *         set, or SO_RCVTIMEO is over; -ECANCELED
 * @threads  any; cancellable when attached
 * @blocks   until the first message
 * @kernel   recvmmsg(2), Linux 2.6.33
 */
VOLLEY_API int volley_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);

/**
 * Send a batch.
 *
 * When n > 0 exactly the first n messages were sent; a count below vlen means that one more call
 * must be made from message n on: the kernel takes 1,024 at most, stops at a message it refuses
 * (that call then fails with its error), at a full buffer, and at a signal. -ECANCELED means that
 * none was sent.
 *
 * @param msgs  vlen headers, contiguous
 * @param vlen  0 returns 0
 * @return how many messages were sent, or -errno of the first; -ECANCELED
 * @threads  any; cancellable when attached
 * @blocks   while the socket's buffer is full
 * @kernel   sendmmsg(2), Linux 3.0
 */
VOLLEY_API int volley_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);

/**
 * recvmsg(2) as a cancellation point.
 *
 * @return the length, 0 for an empty datagram, or -errno; -ECANCELED
 * @threads  any; cancellable when attached
 * @blocks   until there is a message
 */
VOLLEY_API ssize_t volley_recvmsg(int fd, struct msghdr *msg, int flags);

/**
 * sendmsg(2) as a cancellation point.
 *
 * @return the length, or -errno; -ECANCELED
 * @threads  any; cancellable when attached
 * @blocks   while the socket's buffer is full
 */
VOLLEY_API ssize_t volley_sendmsg(int fd, const struct msghdr *msg, int flags);

/**
 * read(2) as a cancellation point.
 *
 * @return the length, or -errno; -ECANCELED; -ENOSYS in the ppoll variant for what is neither a
 *         socket nor O_NONBLOCK
 * @threads  any; cancellable when attached
 * @blocks   as read(2)
 */
VOLLEY_API ssize_t volley_read(int fd, void *buf, size_t n_bytes);

/**
 * write(2) as a cancellation point. A write that was interrupted in the middle reports what it
 * wrote.
 *
 * @return the length, or -errno; -ECANCELED; -ENOSYS in the ppoll variant for what is neither a
 *         socket nor O_NONBLOCK
 * @threads  any; cancellable when attached
 * @blocks   as write(2)
 */
VOLLEY_API ssize_t volley_write(int fd, const void *buf, size_t n_bytes);

/**
 * ppoll(2) as a cancellation point. The timeout is not changed.
 *
 * @param timeout  NULL for ever
 * @param sigmask  the mask while waiting, or NULL; the cancellation signal's bit in it does not
 *                 matter
 * @return how many descriptors are ready, 0 after the timeout, or -errno; -ECANCELED
 * @threads  any; cancellable when attached
 * @blocks   up to the timeout
 */
VOLLEY_API int volley_ppoll(struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout,
			    const sigset_t *sigmask);

/**
 * epoll_wait(2) as a cancellation point.
 *
 * @param timeout_ms  -1 for ever
 * @return how many events, 0 after the timeout, or -errno; -ECANCELED
 * @threads  any; cancellable when attached
 * @blocks   up to the timeout
 */
VOLLEY_API int volley_epoll_wait(int epfd, struct epoll_event *events, int n_events,
				 int timeout_ms);

/**
 * accept4(2) as a cancellation point.
 *
 * @return a descriptor, or -errno; -ECANCELED; -ENOSYS in the ppoll variant unless O_NONBLOCK
 * @threads  any; cancellable when attached
 * @blocks   until there is a connection
 */
VOLLEY_API int volley_accept4(int fd, struct sockaddr *addr, socklen_t *addr_len, int flags);

#ifdef __cplusplus
}
#endif

#endif
