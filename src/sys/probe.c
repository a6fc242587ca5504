/* SPDX-License-Identifier: MIT */

/*
 * The feature probe. A version number says nothing about a kernel with backports, a container with
 * a system-call filter or a sandbox that imitates Linux, so everything is tried; what cannot be
 * shown to work counts as missing, which costs speed and never a datagram. Nothing is sent: a
 * datagram of ours would be in the kernel's counters, and the books would not balance.
 */

#include "sys/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "sys/cmsg.h"
#include "sys/raw.h"
#include "sys/socket.h"

/* What kernels have had as UDP_MAX_SEGMENTS: 128 since 6.9, 64 before. */
static const int segment_limits[] = { 128, 64 };
enum { MIN_SEGMENTS = 64 };

/* Never reached; any but 0. */
enum { DISCARD_PORT = 9 };

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

/*
 * What the kernel says to n datagrams of one byte in one message, on a socket that cannot send
 * them: UDP-Lite has no segmentation, which is found out (-EIO) after the number of segments has
 * been looked at (-EINVAL).
 */
static int try_segments(int fd, struct volley_addr *self, int n)
{
	uint8_t payload[128] = { 0 };
	uint16_t segment_bytes = 1;
	alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof segment_bytes)] = { 0 };
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

/* As many as the kernel is known to take; every kernel with UDP_SEGMENT takes MIN_SEGMENTS. */
static int probe_n_segments(void)
{
	struct volley_addr self = { .len = sizeof self.in };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE);
	int n = MIN_SEGMENTS;

	if (fd < 0)
		return n;
	self.in.sin_family = AF_INET;
	self.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	self.in.sin_port = htons(DISCARD_PORT);
	for (size_t i = 0; i < VLY_ARRAY_SIZE(segment_limits); i++) {
		if (try_segments(fd, &self, segment_limits[i]) == -EIO) {
			n = segment_limits[i];
			break;
		}
	}
	vly_socket_close(fd);
	return n;
}

/* Both options came before the control messages of the same name. */
static void probe_segments(int fd, struct vly_probe *probe)
{
	if (vly_socket_set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0) >= 0) {
		probe->bits |= VLY_PROBE_GSO;
		probe->n_segments = probe_n_segments();
	}
	if (vly_cmsg_enable(fd, AF_INET, VLY_CMSG_SEGMENT) >= 0)
		probe->bits |= VLY_PROBE_GRO;
}

int vly_probe_run(struct vly_probe *ret_probe)
{
	struct vly_probe probe = { 0 };
	int fd = vly_socket_open(AF_INET, true);

	if (fd < 0)
		return fd;
	probe.bits = probe_calls(fd);
	probe_segments(fd, &probe);
	vly_socket_close(fd);
	fd = vly_socket_open(AF_INET6, true);
	if (fd >= 0) {
		probe.bits |= VLY_PROBE_IPV6;
		vly_socket_close(fd);
	}
	*ret_probe = probe;
	return 0;
}
