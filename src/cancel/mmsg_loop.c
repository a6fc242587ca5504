/* SPDX-License-Identifier: MIT */

/*
 * The batch calls as loops over recvmsg and sendmsg.
 *
 *     first message   a cancellation point, may sleep; fails as a whole
 *     the others      never sleep, never cancellable: something has been taken or sent
 *
 * An error met after the first received message ended the batch. A single call has taken it off the
 * socket, so it is kept here for the thread's next receive on that same socket. A message that
 * could not be sent fails again when the caller goes on from it, so that nothing is kept for sends.
 */

#include "cancel/mmsg_loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

/* As sendmmsg of Linux (UIO_MAXIOV), so that callers meet one limit everywhere. */
#define MAX_SEND 1024

/*
 * Sockets whose errors a thread keeps at a time, by descriptor modulo this. A worker receives from
 * a few; when two share a place the older error, a hint about a datagram sent earlier, is dropped.
 */
#define N_KEPT 8

/* The inode tells a socket from a later one with the same descriptor. */
struct kept {
	int error; /* 0 for none */
	int fd;
	dev_t dev;
	ino_t ino;
};

static _Thread_local struct kept kept_errors[N_KEPT];

static void keep(int fd, int error)
{
	struct kept *kept = &kept_errors[(unsigned int)fd % N_KEPT];
	struct stat st;

	if (fstat(fd, &st) == 0)
		*kept = (struct kept){ error, fd, st.st_dev, st.st_ino };
}

/* 0, or the error, once. */
static int take_kept(int fd)
{
	struct kept *kept = &kept_errors[(unsigned int)fd % N_KEPT];
	int error = kept->error;
	struct stat st;

	if (error == 0 || kept->fd != fd)
		return 0;
	kept->error = 0;
	if (fstat(fd, &st) < 0 || st.st_dev != kept->dev || st.st_ino != kept->ino)
		return 0;
	return error;
}

static size_t length(const struct msghdr *msg)
{
	size_t n = 0;

	for (size_t i = 0; i < (size_t)msg->msg_iovlen; i++) /* int in musl */
		n += msg->msg_iov[i].iov_len;
	return n;
}

/* The messages after the first; how many, the first included. */
static unsigned int recv_rest(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	unsigned int n;

	for (n = 1; n < vlen; n++) {
		ssize_t r = recvmsg(fd, &msgs[n].msg_hdr, flags | MSG_DONTWAIT);

		if (r < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				keep(fd, -errno);
			break;
		}
		msgs[n].msg_len = (unsigned int)r;
	}
	return n;
}

int vly_mmsg_loop_recv(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	int saved = errno;
	ssize_t r = 0;
	unsigned int n;
	int state;

	if (vlen == 0)
		return volley_cancel_test();
	flags &= ~MSG_WAITFORONE;
	if (volley_cancel_test() == 0) /* else the call below fails, and the error stays */
		r = take_kept(fd);
	if (r == 0)
		r = volley_recvmsg(fd, &msgs[0].msg_hdr, flags);
	if (r < 0)
		return (int)r;
	msgs[0].msg_len = (unsigned int)r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* recvmsg is a pthread point */
	n = recv_rest(fd, msgs, vlen, flags);
	pthread_setcancelstate(state, &state);
	errno = saved;
	return (int)n;
}

static unsigned int send_rest(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	unsigned int n = 1;

	/* Part of a message on a stream is the last thing sent: more would be out of order. */
	while (n < vlen && msgs[n - 1].msg_len >= length(&msgs[n - 1].msg_hdr)) {
		ssize_t r = sendmsg(fd, &msgs[n].msg_hdr, flags | MSG_DONTWAIT);

		if (r < 0)
			break;
		msgs[n++].msg_len = (unsigned int)r;
	}
	return n;
}

int vly_mmsg_loop_send(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags)
{
	int saved = errno;
	unsigned int n;
	ssize_t r;
	int state;

	if (vlen == 0)
		return volley_cancel_test();
	if (vlen > MAX_SEND)
		vlen = MAX_SEND;
	r = volley_sendmsg(fd, &msgs[0].msg_hdr, flags);
	if (r < 0)
		return (int)r;
	msgs[0].msg_len = (unsigned int)r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* sendmsg is a pthread point */
	n = send_rest(fd, msgs, vlen, flags);
	pthread_setcancelstate(state, &state);
	errno = saved;
	return (int)n;
}
