/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CANCEL_POINTS_H
#define TESTS_UNIT_CANCEL_POINTS_H

/*
 * Cancellation points as functions without arguments, which all call on fds[0], and the descriptors
 * that they are called on.
 */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>

#include <volley/mmsg.h>

#include "victim.h"

#define IS_WINDOW vly_cancel_unblocks

static int fds[2]; /* fds[0] is what is called on, fds[1] its other end */

static inline void open_udp(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;

	fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fds[0], (void *)&addr, sizeof addr), 0);
	cr_assert_eq(getsockname(fds[0], (void *)&addr, &len), 0);
	cr_assert_eq(connect(fds[1], (void *)&addr, len), 0);
}

static inline void send_one(void)
{
	cr_assert_eq(send(fds[1], "x", 1, 0), 1);
}

/* A pair whose first end cannot be written to until unfill(). */
static inline void open_full(int type)
{
	char junk[1024] = { 0 };

	cr_assert_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
	while (send(fds[0], junk, sizeof junk, MSG_DONTWAIT) > 0)
		;
}

static inline void open_full_dgram(void)
{
	open_full(SOCK_DGRAM);
}

static inline void open_pipe(void)
{
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
}

static inline void open_listener(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fds[0], (void *)&addr, sizeof addr), 0);
	cr_assert_eq(listen(fds[0], 1), 0);
	cr_assert_eq(getsockname(fds[0], (void *)&addr, &len), 0);
	cr_assert_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
}

static inline long call_recvmsg(void *arg)
{
	char buf[64];
	struct iovec iov = { buf, sizeof buf };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	(void)arg;
	return volley_recvmsg(fds[0], &msg, 0);
}

static inline long call_recvmmsg(void *arg)
{
	char buf[64];
	struct iovec iov = { buf, sizeof buf };
	struct mmsghdr msgs[2] = { { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } },
				   { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } } };

	(void)arg;
	return volley_recvmmsg(fds[0], msgs, 2, 0);
}

static inline long call_sendmsg(void *arg)
{
	char buf[1] = "x";
	struct iovec iov = { buf, sizeof buf };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	(void)arg;
	return volley_sendmsg(fds[0], &msg, 0);
}

static inline long call_sendmmsg(void *arg)
{
	char buf[1] = "x";
	struct iovec iov = { buf, sizeof buf };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	(void)arg;
	return volley_sendmmsg(fds[0], &msg, 1, 0);
}

static inline long call_read(void *arg)
{
	char buf[64];

	(void)arg;
	return volley_read(fds[0], buf, sizeof buf);
}

static inline long call_write(void *arg)
{
	(void)arg;
	return volley_write(fds[0], "x", 1);
}

static inline long call_accept4(void *arg)
{
	long r = volley_accept4(fds[0], NULL, NULL, SOCK_CLOEXEC);

	(void)arg;
	if (r > 0) {
		close((int)r);
		r = 1;
	}
	return r;
}

static inline void check_cancelled(const char *name, const struct victim *victim)
{
	cr_assert_eq(victim->result, -ECANCELED, "%s: %ld", name, victim->result);
	cr_assert_eq(victim->saved_errno, 4711, "%s touched errno", name);
	cr_assert_eq(victim->pending, 1);
	cr_assert_eq(victim->blocked_after, !IS_WINDOW, "%s", name);
	cr_assert_not(victim->left_pending, "%s", name);
}

#endif
