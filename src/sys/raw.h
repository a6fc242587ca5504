/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_RAW_H
#define VLY_SYS_RAW_H

/*
 * The batch calls as the data path uses them: straight system calls, always MSG_DONTWAIT, never
 * cancellation points (the C library's own are, so we do not call those). Count or -errno; -EAGAIN
 * when nothing was there or no room was. EINTR cannot happen: they never sleep.
 */

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

int vly_raw_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n);
int vly_raw_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n);

/* One message; the length or -errno. */
int vly_raw_recvmsg(int fd, struct msghdr *msg);
int vly_raw_recverr(int fd, struct msghdr *msg); /* of the error queue */
int vly_raw_sendmsg(int fd, const struct msghdr *msg);

/*
 * The rest of what the library needs of the C library's cancellation points, with pthread_cancel()
 * held off: a thread of the host's that ended in one would leave half of what it was doing. Nothing
 * else of src/ may call them (tools/rules/seams.py). As the calls they are named after; 0, a count,
 * or -errno.
 */
int vly_raw_open(const char *path, int flags);
int vly_raw_read(int fd, void *data, size_t n_bytes);
int vly_raw_write(int fd, const void *data, size_t n_bytes);
void vly_raw_close(int fd);
int vly_raw_connect(int fd, const struct sockaddr *addr, socklen_t addr_len);
int vly_raw_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int vly_raw_ppoll(const struct timespec *timeout); /* of no descriptor: a sleep */
int vly_raw_nanosleep(const struct timespec *timeout);
int vly_raw_epoll_wait(int poll_fd, struct epoll_event *ret_events, int n); /* does not wait */

/* Of other sockets than UDP's, which say themselves how; never sleep. */
int vly_raw_unix_sendmsg(int fd, const struct msghdr *msg);
int vly_raw_unix_recvmsg(int fd, struct msghdr *msg);

#endif
