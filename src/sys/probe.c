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
#include <poll.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/compiler.h"
#include "sys/cmsg.h"
#include "sys/raw.h"
#include "sys/socket.h"

/* What kernels have had as UDP_MAX_SEGMENTS: 128 since 6.9, 64 before. */
static const int segment_limits[] = { 128, 64 };
enum { MIN_SEGMENTS = 64 };

/* Never reached; any but 0. */
enum { DISCARD_PORT = 9 };

static const char *const names[] = {
	[VLY_PROBE_RECVMMSG] = "recvmmsg",  [VLY_PROBE_SENDMMSG] = "sendmmsg",
	[VLY_PROBE_RECVMSG] = "recvmsg",    [VLY_PROBE_SENDMSG] = "sendmsg",
	[VLY_PROBE_POLL] = "poll or ppoll", [VLY_PROBE_MEMINFO] = "SO_MEMINFO",
	[VLY_PROBE_GSO] = "UDP_SEGMENT",    [VLY_PROBE_GRO] = "UDP_GRO",
	[VLY_PROBE_IPV6] = "AF_INET6",
};

static_assert(VLY_ARRAY_SIZE(names) == VLY_PROBE_N, "one for each");

const char *vly_probe_get_name(enum vly_probe_call call)
{
	return names[call];
}

/* What a call that works says to a request for nothing; all else is a refusal. */
static int expect(int result, int expected)
{
	if (result == expected)
		return 0;
	return result < 0 ? result : -EPROTO;
}

static int probe_poll(void)
{
	const struct timespec at_once = { 0 };
	int r = vly_raw_poll(NULL, 0, 0);

	return r >= 0 ? vly_raw_ppoll(&at_once) : r;
}

/* Each by itself: a filter may refuse one of a pair. Whoever refuses may give any errno. */
static void probe_calls(int fd, struct vly_probe *probe)
{
	struct vly_socket_meminfo info;
	struct mmsghdr msg = { 0 };
	int *errors = probe->errors;

	errors[VLY_PROBE_RECVMMSG] = expect(vly_raw_recvmmsg(fd, &msg, 0), 0);
	errors[VLY_PROBE_SENDMMSG] = expect(vly_raw_sendmmsg(fd, &msg, 0), 0);
	errors[VLY_PROBE_RECVMSG] = expect(vly_raw_recvmsg(fd, &msg.msg_hdr), -EAGAIN);
	errors[VLY_PROBE_SENDMSG] = expect(vly_raw_sendmsg(fd, &msg.msg_hdr), -EDESTADDRREQ);
	errors[VLY_PROBE_POLL] = probe_poll();
	errors[VLY_PROBE_MEMINFO] = vly_socket_get_meminfo(fd, &info);
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
	probe->errors[VLY_PROBE_GSO] = vly_socket_set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
	if (probe->errors[VLY_PROBE_GSO] >= 0)
		probe->n_segments = probe_n_segments();
	probe->errors[VLY_PROBE_GRO] = vly_cmsg_enable(fd, AF_INET, VLY_CMSG_SEGMENT);
}

int vly_probe_run(struct vly_probe *ret_probe)
{
	struct vly_probe probe = { .n_segments = 0 };
	int fd = vly_socket_open(AF_INET, true);

	if (fd < 0)
		return fd;
	probe_calls(fd, &probe);
	probe_segments(fd, &probe);
	vly_socket_close(fd);
	fd = vly_socket_open(AF_INET6, true);
	if (fd >= 0)
		vly_socket_close(fd);
	probe.errors[VLY_PROBE_IPV6] = fd < 0 ? fd : 0;
	*ret_probe = probe;
	return 0;
}
