/* SPDX-License-Identifier: MIT */

/*
 * The feature probe. A version number says nothing about a kernel with backports, a container with
 * a system-call filter or a sandbox that imitates Linux, so everything is tried: datagrams really
 * go over loopback. What cannot be shown to work counts as missing, which costs speed and never a
 * datagram.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "sys/cmsg.h"
#include "sys/probe.h"
#include "sys/raw.h"
#include "sys/socket.h"

/*
 * Loopback delivers before the send returns, unless the softirq was handed to its own thread,
 * which a loaded machine schedules within milliseconds. Waited out in full only where a firewall
 * drops what goes to loopback.
 */
#define DELIVERY_MS 200

/* What kernels have had as UDP_MAX_SEGMENTS: 128 since 6.9, 64 before. */
static const int segment_limits[] = { 128, 64 };

/* A socket that talks to itself on loopback. */
static int open_loopback(int family, struct volley_addr *ret_addr)
{
	struct volley_addr addr = { .len = 0 };
	int fd = vly_socket_open(family, true);
	int r;

	if (fd < 0)
		return fd;
	addr.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addr.len = sizeof addr.in;
	} else {
		addr.in6.sin6_addr = in6addr_loopback;
		addr.len = sizeof addr.in6;
	}
	r = vly_socket_bind(fd, &addr, true, false);
	if (r >= 0)
		r = vly_socket_get_name(fd, ret_addr);
	if (r < 0) {
		vly_socket_close(fd);
		return r;
	}
	return fd;
}

/* What needs no traffic: a call that is missing or forbidden says ENOSYS or EPERM even so. */
static int probe_calls(int fd)
{
	struct vly_socket_meminfo info;
	struct mmsghdr msg = { 0 };
	int bits = 0;

	if (vly_raw_recvmmsg(fd, &msg, 1) == -EAGAIN)
		bits |= VLY_PROBE_RECVMMSG;
	if (vly_raw_sendmmsg(fd, &msg, 0) == 0)
		bits |= VLY_PROBE_SENDMMSG;
	if (vly_socket_get_meminfo(fd, &info) >= 0)
		bits |= VLY_PROBE_MEMINFO;
	return bits;
}

/* Send n datagrams of one byte as one message. */
static int send_segmented(int fd, struct volley_addr *self, int n)
{
	uint8_t payload[128] = { 0 };
	uint16_t segment_bytes = 1;
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof segment_bytes)] = { 0 };
	struct cmsghdr head = {
		.cmsg_len = CMSG_LEN(sizeof segment_bytes),
		.cmsg_level = IPPROTO_UDP,
		.cmsg_type = UDP_SEGMENT,
	};
	struct iovec iov = { .iov_base = payload, .iov_len = (size_t)n };
	struct msghdr msg = {
		.msg_name = &self->sa,
		.msg_namelen = self->len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};

	memcpy(control, &head, sizeof head);
	memcpy(control + CMSG_LEN(0), &segment_bytes, sizeof segment_bytes);
	return vly_raw_sendmsg(fd, &msg);
}

/* One message from the socket within DELIVERY_MS: its length and segment size. */
static int recv_one(int fd, uint32_t *ret_segment_bytes)
{
	uint8_t payload[256];
	_Alignas(struct cmsghdr) uint8_t control[64];
	struct iovec iov = { .iov_base = payload, .iov_len = sizeof payload };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct vly_cmsg_info info;
	int n;

	poll(&pollfd, 1, DELIVERY_MS);
	n = vly_raw_recvmsg(fd, &msg);
	if (n < 0)
		return n;
	vly_cmsg_parse(&msg, &info);
	*ret_segment_bytes = info.segment_bytes;
	return n;
}

/* GSO with as many segments as the kernel takes, and GRO by getting them back in one piece. */
static void probe_segments(int fd, struct volley_addr *self, struct vly_probe *probe)
{
	bool gro = vly_cmsg_enable(fd, self->sa.sa_family, VLY_CMSG_SEGMENT) >= 0;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(segment_limits); i++) {
		int n = segment_limits[i];
		uint32_t segment_bytes;

		if (send_segmented(fd, self, n) != n)
			continue;
		probe->bits |= VLY_PROBE_GSO;
		probe->n_segments = n;
		if (gro && recv_one(fd, &segment_bytes) == n && segment_bytes == 1)
			probe->bits |= VLY_PROBE_GRO;
		return;
	}
}

int vly_probe_run(struct vly_probe *ret_probe)
{
	struct vly_probe probe = { 0 };
	struct volley_addr self;
	int fd = vly_socket_open(AF_INET, true);

	if (fd < 0)
		return fd;
	probe.bits = probe_calls(fd);
	vly_socket_close(fd);

	fd = open_loopback(AF_INET6, &self);
	if (fd >= 0) {
		probe.bits |= VLY_PROBE_IPV6;
		vly_socket_close(fd);
	}
	/* Without a loopback address nothing can be tried, so there is no GSO nor GRO. */
	fd = open_loopback(AF_INET, &self);
	if (fd >= 0) {
		probe_segments(fd, &self, &probe);
		vly_socket_close(fd);
	}
	*ret_probe = probe;
	return 0;
}
