/* SPDX-License-Identifier: MIT */

/*
 * System calls of the data path, by number: the C library's wrappers are cancellation points of its
 * own kind and would add their test to every volley. MSG_DONTWAIT always, so nothing here sleeps,
 * restarts or is interrupted. MSG_TRUNC where datagrams are received: their length is told in full.
 */

#include "sys/raw.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

int vly_raw_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n)
{
	return result(syscall(SYS_recvmmsg, fd, msgs, n, MSG_DONTWAIT | MSG_TRUNC, NULL));
}

int vly_raw_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n)
{
	return result(syscall(SYS_sendmmsg, fd, msgs, n, MSG_DONTWAIT));
}

int vly_raw_recvmsg(int fd, struct msghdr *msg)
{
	return result(syscall(SYS_recvmsg, fd, msg, MSG_DONTWAIT | MSG_TRUNC));
}

int vly_raw_recverr(int fd, struct msghdr *msg)
{
	return result(syscall(SYS_recvmsg, fd, msg, MSG_ERRQUEUE | MSG_DONTWAIT));
}

int vly_raw_sendmsg(int fd, const struct msghdr *msg)
{
	return result(syscall(SYS_sendmsg, fd, msg, MSG_DONTWAIT));
}
