/* SPDX-License-Identifier: MIT */

/*
 * One socket for both: notices carry sequence number 0, replies that of their request. A notice
 * among the messages of a list means that the list is old already.
 */

#include "sys/netlink.h"

#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/addr.h"
#include "sys/raw.h"
#include "sys/socket.h"

/* Of requests. There is one at a time, and what an earlier one left was thrown away. */
enum { SEQUENCE = 1 };

/* The kernel makes its messages as large as the buffers that they were read with. */
enum { BUFFER_BYTES = 8192 };

struct request {
	struct nlmsghdr head;
	struct ifaddrmsg body;
};

int vly_netlink_open(int *ret_fd, bool *ret_hears)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK,
				    .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	*ret_hears = bind(fd, (const struct sockaddr *)&self, sizeof self) == 0;
	return 0;
}

void vly_netlink_close(int fd)
{
	vly_socket_close(fd);
}

/* The length of the next message, which is cut to the buffer, or -errno. */
static int recv_some(int fd, void *buffer, size_t n_bytes)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = n_bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return vly_raw_recvmsg(fd, &msg);
}

bool vly_netlink_has_changed(int fd)
{
	bool has = false;
	char byte;
	int r;

	while ((r = recv_some(fd, &byte, sizeof byte)) != -EAGAIN) {
		has = true;
		if (r < 0 && r != -ENOBUFS)
			break;
	}
	return has;
}

int vly_netlink_request(int fd)
{
	struct request request = {
		.head = { .nlmsg_len = sizeof request,
			  .nlmsg_type = RTM_GETADDR,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			  .nlmsg_seq = SEQUENCE },
		.body = { .ifa_family = AF_UNSPEC },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec iov = { .iov_base = &request, .iov_len = sizeof request };
	struct msghdr msg = {
		.msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &iov, .msg_iovlen = 1
	};
	int r = vly_raw_sendmsg(fd, &msg);

	return r < 0 ? r : 0;
}

/* IFA_LOCAL is ours; where there is none IFA_ADDRESS is, which else can be the other end's. */
static bool find_addr(struct nlmsghdr *head, struct volley_addr *ret_addr)
{
	struct ifaddrmsg *body = NLMSG_DATA(head);
	struct rtattr *attr = IFA_RTA(body);
	size_t n_left = head->nlmsg_len - NLMSG_LENGTH(sizeof *body);
	struct volley_addr addr = { .len = 0 };

	for (; RTA_OK(attr, n_left); attr = RTA_NEXT(attr, n_left)) {
		bool counts = attr->rta_type == IFA_LOCAL ||
			      (attr->rta_type == IFA_ADDRESS && addr.len == 0);

		if (counts && body->ifa_family == AF_INET && RTA_PAYLOAD(attr) == 4) {
			addr.len = sizeof addr.in;
			memcpy(&addr.in.sin_addr, RTA_DATA(attr), 4);
		} else if (counts && body->ifa_family == AF_INET6 && RTA_PAYLOAD(attr) == 16) {
			addr.len = sizeof addr.in6;
			memcpy(&addr.in6.sin6_addr, RTA_DATA(attr), 16);
		}
	}
	addr.sa.sa_family = body->ifa_family;
	if (body->ifa_family == AF_INET6 && vly_addr_is_link_local(&addr))
		addr.in6.sin6_scope_id = body->ifa_index;
	*ret_addr = addr;
	return addr.len > 0;
}

/* 0 or -errno. */
static int read_message(struct nlmsghdr *head, struct vly_netlink_part *part)
{
	int error;

	if (head->nlmsg_seq != SEQUENCE || (head->nlmsg_flags & NLM_F_DUMP_INTR))
		part->is_old = true;
	if (head->nlmsg_seq != SEQUENCE)
		return 0;
	part->is_last = head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR;
	if (head->nlmsg_type == NLMSG_ERROR) {
		memcpy(&error, NLMSG_DATA(head), sizeof error);
		return error < 0 ? error : -EPROTO;
	}
	if (head->nlmsg_type == RTM_NEWADDR && part->n < VLY_NETLINK_N_ADDRS &&
	    head->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifaddrmsg)) &&
	    find_addr(head, &part->addrs[part->n]))
		part->n++;
	return 0;
}

static_assert(BUFFER_BYTES / NLMSG_SPACE(sizeof(struct ifaddrmsg) + RTA_LENGTH(4)) <=
		      VLY_NETLINK_N_ADDRS,
	      "no buffer holds more");

int vly_netlink_recv(int fd, struct vly_netlink_part *ret_part)
{
	alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	struct nlmsghdr *head = (struct nlmsghdr *)(void *)buffer;
	int n = recv_some(fd, buffer, sizeof buffer);
	int r = 0;

	ret_part->n = 0;
	ret_part->is_last = ret_part->is_old = false;
	if (n < 0)
		return n;
	for (; r >= 0 && NLMSG_OK(head, (unsigned int)n); head = NLMSG_NEXT(head, n))
		r = read_message(head, ret_part);
	return r;
}
