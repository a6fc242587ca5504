/* SPDX-License-Identifier: MIT */

/*
 * Passing descriptors between processes. A packet is sent and received whole, or not at all.
 */

#include "sys/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/raw.h"
#include "sys/socket.h"

int vly_unix_check(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof peer;
	int value;
	int r = vly_socket_get_int(fd, SOL_SOCKET, SO_DOMAIN, &value);

	if (r >= 0 && value != AF_UNIX)
		r = -EPROTOTYPE;
	if (r >= 0)
		r = vly_socket_get_int(fd, SOL_SOCKET, SO_TYPE, &value);
	if (r >= 0 && value != SOCK_SEQPACKET)
		r = -EPROTOTYPE;
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return -errno;
	return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

int vly_unix_send(int fd, const void *data, size_t n_bytes, const int *fds, uint32_t n_fds)
{
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * VLY_UNIX_N_FDS)] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = n_bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int r;

	if (n_fds > 0) {
		struct cmsghdr *cmsg = (struct cmsghdr *)(void *)control;

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	}
	r = vly_raw_unix_sendmsg(fd, &msg);
	return r < 0 ? r : 0;
}

/* The descriptors of a message; more than one such control message is nothing we send. */
static uint32_t take_fds(struct msghdr *msg, int *ret_fds)
{
	uint32_t n = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (uint32_t)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(ret_fds, CMSG_DATA(cmsg), n * sizeof(int));
	}
	return n;
}

int vly_unix_recv(int fd, void *data, size_t n_bytes, int *ret_fds, uint32_t *ret_n_fds)
{
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * VLY_UNIX_N_FDS)];
	struct iovec iov = { .iov_base = data, .iov_len = n_bytes };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof control };
	int r = vly_raw_unix_recvmsg(fd, &msg);
	uint32_t n_fds;

	/*
	 * The peer went away with something unread. That is told once, and first; what it said last
	 * may be here still.
	 */
	if (r == -ECONNRESET)
		r = vly_raw_unix_recvmsg(fd, &msg);
	if (r < 0)
		return r;
	n_fds = take_fds(&msg, ret_fds);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		bool has_room = n_fds <
				VLY_UNIX_N_FDS; /* here; but our table of descriptors is full */

		while (n_fds > 0)
			vly_raw_close(ret_fds[--n_fds]);
		return msg.msg_flags & MSG_CTRUNC && has_room ? -EMFILE : -EMSGSIZE;
	}
	*ret_n_fds = n_fds;
	return r;
}

int vly_unix_keep(int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return own < 0 ? -errno : own;
}

void vly_unix_end(int fd)
{
	shutdown(fd, SHUT_RDWR);
}
