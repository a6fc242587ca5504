/* SPDX-License-Identifier: MIT */

/*
 * Cancellation points without assembly, for CPUs that have no window and for ThreadSanitizer, which
 * shows signal handlers a stale context.
 *
 *     loop:   flag set? -ECANCELED
 *             the call, not blocking; anything but EAGAIN is the result
 *             ppoll with the signal unblocked in its mask
 *
 * The signal is blocked at all times but inside ppoll, where the kernel swaps the masks and goes to
 * sleep in one step: a request before that is pending and ends the sleep at once, a request in it
 * does too, and then the flag is seen. ppoll is never restarted, so that a signal handler of the
 * application on top of it cannot hide a request; but for the same reason any handler makes the
 * call return EINTR, with SA_RESTART or without.
 *
 * It needs calls that can be told not to block, one by one: what cannot (the generic system call;
 * read, write and accept4 on blocking descriptors but sockets' read and write) is -ENOSYS rather
 * than cancellable most of the time.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "cancel/cancel_ops.h"

/* One call on a socket, and how to try it. */
struct op {
	long (*run)(const struct op *op, int flags);
	int fd;
	short events; /* POLLIN or POLLOUT */
	int flags;    /* the caller's MSG_ flags */
	unsigned int vlen;
	size_t n_bytes;
	void *in;        /* what is written to: a buffer or a header */
	const void *out; /* what is sent */
};

/* Leave errno as it was: our callers return their error. */
static long result_of(long r, int saved)
{
	if (r >= 0)
		return r;
	r = -errno;
	errno = saved;
	return r;
}

/* The mask to sleep with: the given or the current one, our signal's bit by the thread's state. */
static void sleep_mask(const sigset_t *given, sigset_t *ret_mask)
{
	if (given != NULL)
		*ret_mask = *given;
	else
		pthread_sigmask(SIG_BLOCK, NULL, ret_mask);
	if (vly_cancel_thread == NULL)
		return;
	if (vly_cancel_is_armed(vly_cancel_thread))
		sigdelset(ret_mask, vly_cancel_get_signo());
	else
		sigaddset(ret_mask, vly_cancel_get_signo());
}

static bool is_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || (flags & O_NONBLOCK);
}

static int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* When the socket's own timeout will be over: 0 for never. */
static int64_t socket_deadline_us(const struct op *op)
{
	int name = op->events == POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO;
	struct timeval timeout = { 0 };
	socklen_t len = sizeof timeout;

	if (getsockopt(op->fd, SOL_SOCKET, name, &timeout, &len) < 0)
		return 0;
	if (timeout.tv_sec == 0 && timeout.tv_usec == 0)
		return 0;
	return clock_us() + (int64_t)timeout.tv_sec * 1000000 + timeout.tv_usec;
}

/* Sleep until ready, cancelled or interrupted. 0 to try again. */
static long sleep_until_ready(const struct op *op, int64_t deadline_us)
{
	struct pollfd pollfd = { .fd = op->fd, .events = op->events };
	struct timespec left = { 0 };
	int64_t left_us;
	sigset_t mask;
	int r;

	if (deadline_us != 0) {
		left_us = deadline_us - clock_us();
		if (left_us <= 0)
			return -EAGAIN;
		left.tv_sec = left_us / 1000000;
		left.tv_nsec = left_us % 1000000 * 1000;
	}
	sleep_mask(NULL, &mask);
	r = ppoll(&pollfd, 1, deadline_us != 0 ? &left : NULL, &mask);
	if (r < 0)
		return -errno;
	return r == 0 ? -EAGAIN : 0;
}

static long point(const struct op *op)
{
	struct volley_cancel *self = vly_cancel_thread;
	int64_t deadline_us = -1; /* asked for at the first sleep */
	int saved = errno;
	long r;

	if (!vly_cancel_is_armed(self))
		return result_of(op->run(op, op->flags), saved);
	do {
		if (vly_cancel_is_requested(self))
			return vly_cancel_finish(self, -ECANCELED);
		r = result_of(op->run(op, op->flags | MSG_DONTWAIT), saved);
		if (r != -EAGAIN || (op->flags & MSG_DONTWAIT))
			return vly_cancel_finish(self, r);
		if (deadline_us < 0) {
			if (is_nonblocking(op->fd))
				return -EAGAIN;
			deadline_us = socket_deadline_us(op);
		}
		r = sleep_until_ready(op, deadline_us);
	} while (r == 0);
	errno = saved;
	return vly_cancel_finish(self, r);
}

static long run_recvmmsg(const struct op *op, int flags)
{
	return recvmmsg(op->fd, op->in, op->vlen, flags, NULL);
}

static long run_sendmmsg(const struct op *op, int flags)
{
	return sendmmsg(op->fd, op->in, op->vlen, flags);
}

static long run_recvmsg(const struct op *op, int flags)
{
	return recvmsg(op->fd, op->in, flags);
}

static long run_sendmsg(const struct op *op, int flags)
{
	return sendmsg(op->fd, op->out, flags);
}

static long run_recv(const struct op *op, int flags)
{
	return recv(op->fd, op->in, op->n_bytes, flags);
}

static long run_send(const struct op *op, int flags)
{
	return send(op->fd, op->out, op->n_bytes, flags);
}

/*
 * For a call that cannot be told not to block: the descriptor must. 0 to go ahead.
 */
static long may_call(struct volley_cancel *self, int fd)
{
	if (!vly_cancel_is_armed(self))
		return 0;
	if (vly_cancel_is_requested(self))
		return vly_cancel_finish(self, -ECANCELED);
	return is_nonblocking(fd) ? 0 : -ENOSYS;
}

/* NOLINTNEXTLINE(readability-function-size): six arguments and the number is what a call has */
long volley_cancel_syscall(long nr, long a1, long a2, long a3, long a4, long a5, long a6)
{
	(void)nr, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6;
	return -ENOSYS;
}

int vly_cancel_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	struct op op = { run_recvmmsg, fd, POLLIN, flags, .vlen = vlen, .in = msgs };

	return (int)point(&op);
}

int vly_cancel_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	struct op op = { run_sendmmsg, fd, POLLOUT, flags, .vlen = vlen, .in = msgs };

	return (int)point(&op);
}

ssize_t volley_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return point(&(struct op){ run_recvmsg, fd, POLLIN, flags, .in = msg });
}

ssize_t volley_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return point(&(struct op){ run_sendmsg, fd, POLLOUT, flags, .out = msg });
}

ssize_t volley_read(int fd, void *buf, size_t n_bytes)
{
	struct op op = { run_recv, fd, POLLIN, 0, .n_bytes = n_bytes, .in = buf };
	int saved = errno;
	long r = -ENOTSOCK;

	if (n_bytes > 0) /* recv of no bytes would take a datagram */
		r = point(&op);
	if (r != -ENOTSOCK)
		return r;
	r = may_call(vly_cancel_thread, fd);
	return r < 0 ? r : result_of(read(fd, buf, n_bytes), saved);
}

ssize_t volley_write(int fd, const void *buf, size_t n_bytes)
{
	struct op op = { run_send, fd, POLLOUT, 0, .n_bytes = n_bytes, .out = buf };
	int saved = errno;
	long r = point(&op);

	if (r != -ENOTSOCK)
		return r;
	r = may_call(vly_cancel_thread, fd);
	return r < 0 ? r : result_of(write(fd, buf, n_bytes), saved);
}

int volley_ppoll(struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout,
		 const sigset_t *sigmask)
{
	struct volley_cancel *self = vly_cancel_thread;
	int saved = errno;
	sigset_t mask;

	if (vly_cancel_is_armed(self) && vly_cancel_is_requested(self))
		return (int)vly_cancel_finish(self, -ECANCELED);
	sleep_mask(sigmask, &mask);
	return (int)vly_cancel_finish(self, result_of(ppoll(fds, n_fds, timeout, &mask), saved));
}

int volley_epoll_wait(int epfd, struct epoll_event *events, int n_events, int timeout_ms)
{
	struct volley_cancel *self = vly_cancel_thread;
	int saved = errno;
	sigset_t mask;
	long r;

	if (vly_cancel_is_armed(self) && vly_cancel_is_requested(self))
		return (int)vly_cancel_finish(self, -ECANCELED);
	sleep_mask(NULL, &mask);
	r = result_of(epoll_pwait(epfd, events, n_events, timeout_ms, &mask), saved);
	return (int)vly_cancel_finish(self, r);
}

int volley_accept4(int fd, struct sockaddr *addr, socklen_t *addr_len, int flags)
{
	int saved = errno;
	long r = may_call(vly_cancel_thread, fd);

	return (int)(r < 0 ? r : result_of(accept4(fd, addr, addr_len, flags), saved));
}
