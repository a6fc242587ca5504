/* SPDX-License-Identifier: MIT */

/*
 * System calls that are no cancellation points.
 *
 * Those of the data path by number: the C library's wrappers are cancellation points of its own
 * kind and would add their test to every volley. MSG_DONTWAIT always, so nothing here sleeps,
 * restarts or is interrupted. MSG_TRUNC where datagrams are received: their length is told in full.
 *
 * The others by the C library, with pthread_cancel() held off meanwhile.
 */

#include "sys/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
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

/* Others --------------------------------------------------------------------------------------- */

/* Returns what is to be put back. Neither call can fail, and both may run in a signal handler. */
static int hold_off(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

int vly_raw_open(const char *path, int flags)
{
	return result(syscall(SYS_openat, AT_FDCWD, path, flags));
}

int vly_raw_read(int fd, void *data, size_t n_bytes)
{
	int state = hold_off();
	int r = result(read(fd, data, n_bytes));

	pthread_setcancelstate(state, &state);
	return r;
}

int vly_raw_write(int fd, const void *data, size_t n_bytes)
{
	int state = hold_off();
	int r = result(write(fd, data, n_bytes));

	pthread_setcancelstate(state, &state);
	return r;
}

void vly_raw_close(int fd)
{
	int state = hold_off();

	close(fd);
	pthread_setcancelstate(state, &state);
}

int vly_raw_connect(int fd, const struct sockaddr *addr, socklen_t addr_len)
{
	int state = hold_off();
	int r = result(connect(fd, addr, addr_len));

	pthread_setcancelstate(state, &state);
	return r;
}

int vly_raw_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int state = hold_off();
	int r = result(poll(fds, n, timeout_ms));

	pthread_setcancelstate(state, &state);
	return r;
}

int vly_raw_ppoll(const struct timespec *timeout)
{
	int state = hold_off();
	int r = result(ppoll(NULL, 0, timeout, NULL));

	pthread_setcancelstate(state, &state);
	return r;
}

int vly_raw_nanosleep(const struct timespec *timeout)
{
	int state = hold_off();
	int r = result(nanosleep(timeout, NULL));

	pthread_setcancelstate(state, &state);
	return r;
}

int vly_raw_epoll_wait(int poll_fd, struct epoll_event *ret_events, int n)
{
	int state = hold_off();
	int r = result(epoll_wait(poll_fd, ret_events, n, 0));

	pthread_setcancelstate(state, &state);
	return r;
}

int vly_raw_unix_sendmsg(int fd, const struct msghdr *msg)
{
	int state = hold_off();
	int r = result(sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL));

	pthread_setcancelstate(state, &state);
	return r;
}

int vly_raw_unix_recvmsg(int fd, struct msghdr *msg)
{
	int state = hold_off();
	int r = result(recvmsg(fd, msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));

	pthread_setcancelstate(state, &state);
	return r;
}
