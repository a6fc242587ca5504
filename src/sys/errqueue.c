/* SPDX-License-Identifier: MIT */

/*
 * Reading the error queue. Taking an entry also takes the socket's pending error that came with it,
 * which would otherwise fail the next send to somebody else; and it gives back the receive buffer
 * that the entry occupies.
 */

#include "sys/errqueue.h"

#include <errno.h>
#include <stdalign.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

#include "sys/raw.h"
#include "sys/socket.h"

/* The error and the address of who sent it, with some room to spare. */
enum { CONTROL_BYTES = 256 };

static int set(int fd, int family, int value)
{
	int r = vly_socket_set_int(fd, IPPROTO_IP, IP_RECVERR, value);

	if (r >= 0 && family == AF_INET6)
		r = vly_socket_set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, value);
	return r;
}

int vly_errqueue_enable(int fd, int family)
{
	return set(fd, family, 1);
}

int vly_errqueue_disable(int fd, int family)
{
	return set(fd, family, 0);
}

/* As many as a receive buffer of 4 MiB holds: what comes faster than that has a source. */
enum { N_CLEAR = 10000 };

void vly_errqueue_clear(int fd)
{
	struct vly_errqueue_entry entry;

	for (int i = 0; i < N_CLEAR && vly_errqueue_pop(fd, &entry) > 0; i++)
		continue;
}

static bool is_error(const struct cmsghdr *cmsg)
{
	return (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_RECVERR) ||
	       (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_RECVERR);
}

int vly_errqueue_pop(int fd, struct vly_errqueue_entry *ret_entry)
{
	alignas(struct cmsghdr) char control[CONTROL_BYTES];
	struct vly_errqueue_entry entry = { .error = 0 };
	struct sock_extended_err error;
	struct msghdr msg = { .msg_name = &entry.peer,
			      .msg_namelen = sizeof(struct sockaddr_in6),
			      .msg_control = control,
			      .msg_controllen = sizeof control };
	int r = vly_raw_recverr(fd, &msg);

	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	entry.peer.len = msg.msg_namelen;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		if (!is_error(cmsg) || cmsg->cmsg_len < CMSG_LEN(sizeof error))
			continue;
		memcpy(&error, CMSG_DATA(cmsg), sizeof error);
		entry.error = (int)error.ee_errno;
		entry.icmp = error.ee_origin == SO_EE_ORIGIN_ICMP ||
			     error.ee_origin == SO_EE_ORIGIN_ICMP6;
	}
	*ret_entry = entry;
	return 1;
}
