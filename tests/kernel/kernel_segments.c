/* SPDX-License-Identifier: MIT */

/*
 * UDP_SEGMENT and UDP_GRO: how much one message may hold, what comes out at the other end, and what
 * is lost when there is too little room for it.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/loopback.h"

static uint8_t payload[65536];

static int set(int fd, int name, int value)
{
	return setsockopt(fd, IPPROTO_UDP, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* n bytes as segments of segment_bytes: the bytes sent, or -errno. */
static int send_segments(int fd, struct volley_addr *to, size_t n, int segment_bytes)
{
	int r = set(fd, UDP_SEGMENT, segment_bytes);

	if (r == 0)
		r = (int)sendto(fd, payload, n, 0, &to->sa, to->len);
	return r < 0 ? -errno : r;
}

struct got {
	int len;
	int flags;
	int segment_bytes; /* -1: no control message */
	size_t n_cmsg;     /* bytes of its payload */
};

static struct got recv_segments(int fd, size_t n_payload, size_t n_control)
{
	alignas(8) char control[64];
	struct iovec iov = { .iov_base = payload, .iov_len = n_payload };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = n_control,
	};
	struct got got = { .segment_bytes = -1 };

	REQUIRE(loopback_wait(fd));
	got.len = (int)recvmsg(fd, &msg, MSG_DONTWAIT);
	got.flags = msg.msg_flags;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			got.n_cmsg = c->cmsg_len - CMSG_LEN(0);
			memcpy(&got.segment_bytes, CMSG_DATA(c), sizeof got.segment_bytes);
		}
	return got;
}

static void limits(void)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	int n = send_segments(fd, &addr, 65, 1) == 65 ? 128 : 64;

	printf("segments per message: %d\n", n);
	CHECK_EQ(send_segments(fd, &addr, (size_t)n, 1), n);
	CHECK_EQ(send_segments(fd, &addr, (size_t)n + 1, 1), -EINVAL);
	/* All of one message counts against the length of a datagram. */
	CHECK_EQ(send_segments(fd, &addr, 65507, 1400), 65507);
	CHECK_EQ(send_segments(fd, &addr, 65508, 1400), -EMSGSIZE);
	/* A single segment is a plain datagram, and so is a message no longer than a segment. */
	CHECK_EQ(send_segments(fd, &addr, 100, 1400), 100);
	close(fd);
}

static void without_gro_they_come_apart(void)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	static const int lens[] = { 100, 100, 50 };

	CHECK_EQ(send_segments(fd, &addr, 250, 100), 250);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(recv_segments(fd, sizeof payload, 64).len, lens[i]);
	close(fd);
}

static void with_gro_they_come_as_one(void)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	int client = loopback_open("127.0.0.1:0", NULL);
	struct got got;

	REQUIRE(set(fd, UDP_GRO, 1) == 0);
	CHECK_EQ(send_segments(client, &addr, 250, 100), 250);
	got = recv_segments(fd, sizeof payload, 64);
	CHECK_EQ(got.len, 250);
	CHECK_EQ(got.segment_bytes, 100);
	CHECK_EQ(got.n_cmsg, sizeof(int));

	/* A lone datagram has no control message. */
	CHECK_EQ(send_segments(client, &addr, 100, 100), 100);
	got = recv_segments(fd, sizeof payload, 64);
	CHECK_EQ(got.len, 100);
	CHECK_EQ(got.segment_bytes, -1);

	/* Too little room for the payload: the rest is gone, and only a flag says so. */
	CHECK_EQ(send_segments(client, &addr, 250, 100), 250);
	got = recv_segments(fd, 150, 64);
	CHECK_EQ(got.len, 150);
	CHECK_EQ(got.segment_bytes, 100);
	CHECK_EQ(got.flags & (MSG_TRUNC | MSG_CTRUNC), MSG_TRUNC);

	/* None for the control message: the boundaries are gone. */
	CHECK_EQ(send_segments(client, &addr, 250, 100), 250);
	got = recv_segments(fd, sizeof payload, 0);
	CHECK_EQ(got.len, 250);
	CHECK_EQ(got.segment_bytes, -1);
	CHECK_EQ(got.flags & (MSG_TRUNC | MSG_CTRUNC), MSG_CTRUNC);
	close(fd);
	close(client);
}

int main(void)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	if (set(fd, UDP_SEGMENT, 100) < 0) {
		SKIP("no UDP_SEGMENT (Linux 4.18)");
		return check_done();
	}
	limits();
	without_gro_they_come_apart();
	if (set(fd, UDP_GRO, 1) < 0)
		SKIP("no UDP_GRO (Linux 5.0)");
	else
		with_gro_they_come_as_one();
	close(fd);
	return check_done();
}
