/* SPDX-License-Identifier: MIT */

/*
 * GRO in and GSO out by hand: recvmmsg gives coalesced messages with their segment size, and each
 * goes back whole as one UDP_SEGMENT message. The bulk champion, and as simple as it gets: an echo
 * need not look at the segments. `gso-read` does what any real server must: it goes through the
 * datagrams of each message and reads a byte of each.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "peers.h"
#include "send_all.h"

/* As in recvmmsg.c. */
#define STRIDE ((size_t)1025 * 64)

struct gso_state {
	struct mmsghdr *msgs;
	struct iovec *iovs;
	struct sockaddr_in6 *peers;
	uint64_t (*control)[4];
	char *slots;
	uint64_t sum; /* of the bytes read: kept, so that they are read */
};

static void gso_close(struct bench_loop *loop)
{
	struct gso_state *s = loop->state;

	if (s == NULL)
		return;
	free(s->msgs);
	free(s->iovs);
	free(s->peers);
	free(s->control);
	free(s->slots);
	free(s);
}

static void arm(struct gso_state *s, uint32_t i)
{
	s->iovs[i] = (struct iovec){ s->slots + i * STRIDE, 65536 };
	s->msgs[i].msg_hdr = (struct msghdr){
		.msg_name = &s->peers[i],
		.msg_namelen = sizeof s->peers[i],
		.msg_iov = &s->iovs[i],
		.msg_iovlen = 1,
		.msg_control = s->control[i],
		.msg_controllen = sizeof s->control[i],
	};
}

static int gso_open(struct bench_loop *loop)
{
	struct gso_state *s = calloc(1, sizeof *s);
	int one = 1;

	loop->state = s;
	if (s == NULL)
		return -ENOMEM;
	s->msgs = calloc(loop->n_batch, sizeof *s->msgs);
	s->iovs = calloc(loop->n_batch, sizeof *s->iovs);
	s->peers = calloc(loop->n_batch, sizeof *s->peers);
	s->control = calloc(loop->n_batch, sizeof *s->control);
	s->slots = calloc(loop->n_batch, STRIDE);
	if (s->msgs == NULL || s->iovs == NULL || s->peers == NULL || s->control == NULL ||
	    s->slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < loop->n_batch; i++)
		arm(s, i);
	return setsockopt(loop->fd, SOL_UDP, UDP_GRO, &one, sizeof one) < 0 ? -errno : 0;
}

/* Turn a received message round: its segment size becomes the reply's. Returns the size. */
static uint32_t turn(struct mmsghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg->msg_hdr);
	uint16_t segment;
	int value;

	msg->msg_hdr.msg_iov->iov_len = msg->msg_len;
	if (cmsg == NULL || cmsg->cmsg_level != SOL_UDP || cmsg->cmsg_type != UDP_GRO) {
		msg->msg_hdr.msg_control = NULL;
		msg->msg_hdr.msg_controllen = 0;
		return msg->msg_len;
	}
	memcpy(&value, CMSG_DATA(cmsg), sizeof value);
	segment = (uint16_t)value;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof segment);
	memcpy(CMSG_DATA(cmsg), &segment, sizeof segment);
	msg->msg_hdr.msg_controllen = CMSG_SPACE(sizeof segment);
	return segment;
}

static uint32_t count(const struct mmsghdr *msg, uint32_t segment)
{
	return segment > 0 ? (msg->msg_len + segment - 1) / segment : 1;
}

/* The same, datagram by datagram, with a look at each. */
static uint32_t read_each(struct gso_state *s, const struct mmsghdr *msg, uint32_t segment)
{
	const uint8_t *data = msg->msg_hdr.msg_iov->iov_base;
	uint32_t n = 0;

	if (msg->msg_len == 0)
		return 1;
	for (uint32_t at = 0; at < msg->msg_len; at += segment, n++)
		s->sum += data[at];
	return n;
}

static int serve(struct bench_loop *loop, uint64_t n, bool reads)
{
	struct gso_state *s = loop->state;

	while (n > 0) {
		uint32_t n_datagrams = 0;
		int got = recvmmsg(loop->fd, s->msgs, loop->n_batch, MSG_WAITFORONE, NULL);

		loop->counters->n_recv_calls++;
		if (got < 0)
			return -errno;
		for (int i = 0; i < got; i++) {
			uint32_t segment = turn(&s->msgs[i]);

			n_datagrams += reads ? read_each(s, &s->msgs[i], segment)
					     : count(&s->msgs[i], segment);
		}
		bench_send_all(loop, loop->fd, s->msgs, (uint32_t)got);
		for (int i = 0; i < got; i++)
			arm(s, (uint32_t)i);
		bench_counters_add(loop->counters, n_datagrams);
		n -= n < n_datagrams ? n : n_datagrams;
	}
	return 0;
}

static int gso_run(struct bench_loop *loop, uint64_t n)
{
	return serve(loop, n, false);
}

static int gso_read_run(struct bench_loop *loop, uint64_t n)
{
	return serve(loop, n, true);
}

const struct bench_peer bench_peer_gso = {
	.name = "gso",
	.about = "hand-written UDP_GRO in, UDP_SEGMENT out",
	.open = gso_open,
	.run = gso_run,
	.close = gso_close,
};

const struct bench_peer bench_peer_gso_read = {
	.name = "gso-read",
	.about = "the same, going through the datagrams and reading a byte of each",
	.open = gso_open,
	.run = gso_read_run,
	.close = gso_close,
};
