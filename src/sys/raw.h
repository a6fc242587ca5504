/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_RAW_H
#define VLY_SYS_RAW_H

/*
 * The batch calls as the data path uses them: straight system calls, always MSG_DONTWAIT, never
 * cancellation points (the C library's own are, so we do not call those). Count or -errno; -EAGAIN
 * when nothing was there or no room was. EINTR cannot happen: they never sleep.
 */

#include <sys/socket.h>

int vly_raw_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n);
int vly_raw_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n);

/* One message; the length or -errno. */
int vly_raw_recvmsg(int fd, struct msghdr *msg);
int vly_raw_recverr(int fd, struct msghdr *msg); /* of the error queue */
int vly_raw_sendmsg(int fd, const struct msghdr *msg);

#endif
