/* SPDX-License-Identifier: MIT */

/*
 * recvmmsg and sendmmsg: what a count means, and which message an error is about. Also the two
 * datagrams that servers tend to forget: the empty one and the one from port 0.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/loopback.h"

#define N 2000

static struct mmsghdr msgs[N];
static struct iovec iovs[N];
static char payload[N][8];

static void prepare(struct volley_addr *to, size_t n_bytes)
{
	memset(msgs, 0, sizeof msgs);
	for (int i = 0; i < N; i++) {
		iovs[i].iov_base = payload[i];
		iovs[i].iov_len = n_bytes;
		msgs[i].msg_hdr.msg_iov = &iovs[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = to != NULL ? &to->sa : NULL;
		msgs[i].msg_hdr.msg_namelen = to != NULL ? to->len : 0;
	}
}

static void recvmmsg_stops_at_what_there_is(int fd, struct volley_addr *self)
{
	for (int i = 0; i < 5; i++)
		loopback_send(fd, self, (uint8_t)i, 1);
	CHECK(loopback_wait(fd));
	prepare(NULL, 8);
	CHECK_EQ(recvmmsg(fd, msgs, 3, MSG_DONTWAIT, NULL), 3);
	/* A short count needs no second call to learn that the socket is empty. */
	CHECK_EQ(recvmmsg(fd, msgs, 64, MSG_DONTWAIT, NULL), 2);
	CHECK_EQ(recvmmsg(fd, msgs, 64, MSG_DONTWAIT, NULL), -1);
	CHECK_EQ(errno, EAGAIN);
	/* Blocking, it returns with the first: the flag without which a signal can poison it. */
	loopback_send(fd, self, 0, 1);
	CHECK_EQ(recvmmsg(fd, msgs, 64, MSG_WAITFORONE, NULL), 1);
	CHECK_EQ(recvmmsg(fd, msgs, 0, MSG_DONTWAIT, NULL), 0);
}

static void sendmmsg_stops_before_a_bad_message(int fd, struct volley_addr *self)
{
	struct volley_addr bad = *self;

	bad.in.sin_port = 0;
	prepare(self, 1);
	msgs[0].msg_hdr.msg_name = &bad.sa;
	CHECK_EQ(sendmmsg(fd, msgs, 4, MSG_DONTWAIT), -1);
	CHECK_EQ(errno, EINVAL);
	prepare(self, 1);
	msgs[2].msg_hdr.msg_name = &bad.sa;
	CHECK_EQ(sendmmsg(fd, msgs, 4, MSG_DONTWAIT), 2);
	/* The error is not remembered: the next call starts at the bad one and says so itself. */
	CHECK_EQ(sendmmsg(fd, msgs + 2, 2, MSG_DONTWAIT), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(sendmmsg(fd, msgs + 3, 1, MSG_DONTWAIT), 1);
	CHECK_EQ(sendmmsg(fd, msgs, 0, MSG_DONTWAIT), 0);
	CHECK(loopback_wait(fd));
	prepare(NULL, 8);
	CHECK_EQ(recvmmsg(fd, msgs, 64, MSG_DONTWAIT, NULL), 3);
}

static void sendmmsg_sends_1024_at_most(int fd, struct volley_addr *self)
{
	prepare(self, 0);
	CHECK_EQ(sendmmsg(fd, msgs, N, MSG_DONTWAIT), 1024);
	while (recv(fd, payload[0], 1, MSG_DONTWAIT) >= 0)
		;
}

static void an_empty_datagram_is_one(int fd, struct volley_addr *self)
{
	struct volley_addr from;
	uint8_t byte;

	loopback_send(fd, self, 0, 0);
	CHECK_EQ(loopback_recv(fd, &byte, 1, &from), 0);
	CHECK_EQ(from.in.sin_port, self->in.sin_port);
	prepare(NULL, 8);
	loopback_send(fd, self, 0, 0);
	loopback_send(fd, self, 0, 1);
	CHECK(loopback_wait(fd));
	CHECK_EQ(recvmmsg(fd, msgs, 64, MSG_DONTWAIT, NULL), 2);
	CHECK_EQ(msgs[0].msg_len, 0);
	CHECK_EQ(msgs[1].msg_len, 1);
}

/* A datagram whose source port is 0 arrives; a reply to it is EINVAL. */
static void port_0_arrives_and_cannot_be_replied_to(int fd, const struct volley_addr *self)
{
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
	struct {
		struct udphdr udp;
		char byte;
	} packet = { .udp = { .uh_dport = self->in.sin_port, .uh_ulen = htons(9) } };
	struct volley_addr from;
	uint8_t byte;

	if (raw < 0) {
		SKIP("source port 0: a raw socket needs CAP_NET_RAW");
		return;
	}
	CHECK_EQ(sendto(raw, &packet, 9, 0, &self->sa, self->len), 9);
	CHECK_EQ(loopback_recv(fd, &byte, 1, &from), 1);
	CHECK_EQ(from.in.sin_port, 0);
	CHECK_EQ(sendto(fd, &byte, 1, 0, &from.sa, from.len), -1);
	CHECK_EQ(errno, EINVAL);
	close(raw);
}

static void a_buffer_request_is_doubled(int fd)
{
	int want = 60000, have = 0;
	socklen_t n = sizeof have;

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &want, sizeof want), 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &have, &n), 0);
	CHECK_EQ(have, 2 * want);
}

int main(void)
{
	struct volley_addr self;
	int fd = loopback_open("127.0.0.1:0", &self);

	recvmmsg_stops_at_what_there_is(fd, &self);
	sendmmsg_stops_before_a_bad_message(fd, &self);
	sendmmsg_sends_1024_at_most(fd, &self);
	an_empty_datagram_is_one(fd, &self);
	port_0_arrives_and_cannot_be_replied_to(fd, &self);
	a_buffer_request_is_doubled(fd);
	close(fd);
	return check_done();
}
