/* SPDX-License-Identifier: MIT */

/*
 * The batch calls where the system has them. The contract is that of <volley/mmsg.h>, and of
 * mmsg_loop.c, which keeps it without them.
 *
 * recvmmsg never sleeps after its first message. Without MSG_WAITFORONE a signal in that sleep
 * makes the kernel return the count and leave the interruption, errno 512, as the socket's pending
 * error, for the next call of anyone to fail with; tests/kernel pins it. sendmmsg may sleep in the
 * middle of a batch, and returns the count when it is interrupted there.
 *
 * What is left on the socket after a batch ended early is only what was the socket's own (an ICMP
 * error), or an error that the caller's own arguments made (EFAULT): taking them off would cost a
 * system call per batch that is not full.
 */

#include <sys/socket.h>

#include <volley/mmsg.h>

#include "cancel/cancel_ops.h"

int volley_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	if (!(flags & MSG_DONTWAIT))
		flags |= MSG_WAITFORONE;
	return vly_cancel_recvmmsg(fd, msgs, vlen, flags);
}

int volley_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	return vly_cancel_sendmmsg(fd, msgs, vlen, flags);
}
