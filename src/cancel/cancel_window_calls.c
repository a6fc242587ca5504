/* SPDX-License-Identifier: MIT */

/* The calls that go through the window (cancel_window.c). */

#include <assert.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "cancel/cancel_ops.h"

/* What the kernel takes for a signal set: 64 signals on the CPUs that have a window. */
#define KERNEL_SIGSET_BYTES 8

/* cancel_<cpu>.S */
long vly_cancel_window(const _Atomic uint32_t *flag, long nr, const long args[6]);

/*
 * Message headers as the kernel reads them. musl follows POSIX: int and socklen_t where the kernel
 * has size_t, and padding that nobody need have set. The C library's wrappers see to it, and we do
 * not call them.
 */
struct kernel_msghdr {
	void *name;
	int name_len;
	struct iovec *iov;
	size_t n_iov;
	void *control;
	size_t control_bytes;
	int flags;
};

static_assert(sizeof(struct kernel_msghdr) == sizeof(struct msghdr), "same size, other widths");
static_assert(offsetof(struct kernel_msghdr, control) == offsetof(struct msghdr, msg_control),
	      "same places");

static const bool is_narrow = sizeof(((struct msghdr *)NULL)->msg_iovlen) < sizeof(size_t);

/* What a disarmed thread tests. */
static const _Atomic uint32_t never;

static long point(long nr, const long args[6])
{
	struct volley_cancel *self = vly_cancel_thread;
	const _Atomic uint32_t *flag = vly_cancel_is_armed(self) ? &self->requested : &never;

	return vly_cancel_finish(self, vly_cancel_window(flag, nr, args));
}

static void put_size(void *base, size_t offset, size_t size)
{
	memcpy((char *)base + offset, &size, sizeof size);
}

/* Set the padding, of the control messages too when they are to be sent. */
static void widen(struct msghdr *msg, bool is_sent)
{
	put_size(msg, offsetof(struct kernel_msghdr, n_iov), (size_t)msg->msg_iovlen);
	put_size(msg, offsetof(struct kernel_msghdr, control_bytes), (size_t)msg->msg_controllen);
	if (!is_sent)
		return;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL; cmsg = CMSG_NXTHDR(msg, cmsg))
		put_size(cmsg, 0, (size_t)cmsg->cmsg_len);
}

static void widen_all(struct mmsghdr *msgs, unsigned int vlen, bool is_sent)
{
	for (unsigned int i = 0; is_narrow && i < vlen; i++)
		widen(&msgs[i].msg_hdr, is_sent);
}

/* NOLINTNEXTLINE(readability-function-size): six arguments and the number is what a call has */
long volley_cancel_syscall(long nr, long a1, long a2, long a3, long a4, long a5, long a6)
{
	return point(nr, (const long[6]){ a1, a2, a3, a4, a5, a6 });
}

int vly_cancel_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	widen_all(msgs, vlen, false);
	return (int)point(SYS_recvmmsg, (const long[6]){ fd, (long)msgs, vlen, flags });
}

int vly_cancel_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	widen_all(msgs, vlen, true);
	return (int)point(SYS_sendmmsg, (const long[6]){ fd, (long)msgs, vlen, flags });
}

ssize_t volley_recvmsg(int fd, struct msghdr *msg, int flags)
{
	if (is_narrow)
		widen(msg, false);
	return point(SYS_recvmsg, (const long[6]){ fd, (long)msg, flags });
}

ssize_t volley_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr copy = *msg;

	if (is_narrow)
		widen(&copy, true);
	return point(SYS_sendmsg, (const long[6]){ fd, (long)&copy, flags });
}

ssize_t volley_read(int fd, void *buf, size_t n_bytes)
{
	return point(SYS_read, (const long[6]){ fd, (long)buf, (long)n_bytes });
}

ssize_t volley_write(int fd, const void *buf, size_t n_bytes)
{
	return point(SYS_write, (const long[6]){ fd, (long)buf, (long)n_bytes });
}

/*
 * The kernel swaps the mask after the flag was tested: a user's mask that blocked our signal would
 * make the sleep deaf, one that unblocked it would have a disarmed thread interrupted.
 */
int volley_ppoll(struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout,
		 const sigset_t *sigmask)
{
	struct timespec left = { 0 }; /* the system call writes to it */
	sigset_t mask;

	if (timeout != NULL)
		left = *timeout;
	if (sigmask != NULL) {
		mask = *sigmask;
		if (vly_cancel_is_armed(vly_cancel_thread))
			sigdelset(&mask, vly_cancel_get_signo());
		else if (vly_cancel_thread != NULL)
			sigaddset(&mask, vly_cancel_get_signo());
	}
	return (int)point(SYS_ppoll, (const long[6]){ (long)fds, (long)n_fds,
						      (long)(timeout != NULL ? &left : NULL),
						      (long)(sigmask != NULL ? &mask : NULL),
						      KERNEL_SIGSET_BYTES });
}

int volley_epoll_wait(int epfd, struct epoll_event *events, int n_events, int timeout_ms)
{
	return (int)point(SYS_epoll_pwait, (const long[6]){ epfd, (long)events, n_events,
							    timeout_ms, 0, KERNEL_SIGSET_BYTES });
}

int volley_accept4(int fd, struct sockaddr *addr, socklen_t *addr_len, int flags)
{
	return (int)point(SYS_accept4, (const long[6]){ fd, (long)addr, (long)addr_len, flags });
}
