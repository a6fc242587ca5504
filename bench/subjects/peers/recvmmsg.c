/* SPDX-License-Identifier: MIT */

/*
 * The plain batch loop, and the baseline of every table: recvmmsg with MSG_WAITFORONE, the same
 * arrays turned round, sendmmsg. No control messages, nothing counted but what the table needs.
 * What a careful person writes in an afternoon, with the slots at an odd number of cache lines
 * apart.
 */

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peers.h"
#include "send_all.h"

/*
 * Odd multiple of 64 and room for any datagram: a power of two would put all slots on the same
 * cache sets. Memory is only resident where datagrams touched it.
 */
#define STRIDE ((size_t)1025 * 64)

struct recvmmsg_state {
	struct mmsghdr *msgs;
	struct iovec *iovs;
	struct sockaddr_in6 *peers;
	char *slots;
	int epoll_fd;
};

static void recvmmsg_close(struct bench_loop *loop)
{
	struct recvmmsg_state *s = loop->state;

	if (s == NULL)
		return;
	free(s->msgs);
	free(s->iovs);
	free(s->peers);
	free(s->slots);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	free(s);
}

static int recvmmsg_open(struct bench_loop *loop)
{
	struct recvmmsg_state *s = calloc(1, sizeof *s);

	loop->state = s;
	if (s == NULL)
		return -ENOMEM;
	s->epoll_fd = -1;
	s->msgs = calloc(loop->n_batch, sizeof *s->msgs);
	s->iovs = calloc(loop->n_batch, sizeof *s->iovs);
	s->peers = calloc(loop->n_batch, sizeof *s->peers);
	s->slots = calloc(loop->n_batch, STRIDE);
	if (s->msgs == NULL || s->iovs == NULL || s->peers == NULL || s->slots == NULL) {
		recvmmsg_close(loop);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < loop->n_batch; i++) {
		s->iovs[i] = (struct iovec){ s->slots + i * STRIDE, 65536 };
		s->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &s->peers[i],
			.msg_namelen = sizeof s->peers[i],
			.msg_iov = &s->iovs[i],
			.msg_iovlen = 1,
		};
	}
	return 0;
}

/* One volley. Datagrams replied to, or -errno. */
static int echo_volley(struct bench_loop *loop, int fd, uint32_t want, int flags)
{
	struct recvmmsg_state *s = loop->state;
	int got = recvmmsg(fd, s->msgs, want, flags, NULL);

	loop->counters->n_recv_calls++;
	if (got < 0)
		return -errno;
	for (int i = 0; i < got; i++)
		s->iovs[i].iov_len = s->msgs[i].msg_len;
	bench_send_all(loop, fd, s->msgs, (uint32_t)got);
	for (int i = 0; i < got; i++) {
		s->iovs[i].iov_len = 65536;
		s->msgs[i].msg_hdr.msg_namelen = sizeof s->peers[i];
	}
	bench_counters_add(loop->counters, (uint32_t)got);
	return got;
}

static int recvmmsg_run(struct bench_loop *loop, uint64_t n)
{
	while (n > 0) {
		uint32_t want = n < loop->n_batch ? (uint32_t)n : loop->n_batch;
		int got = echo_volley(loop, loop->fd, want, MSG_WAITFORONE);

		if (got < 0)
			return got;
		n -= (uint64_t)got;
	}
	return 0;
}

static int epoll_open(struct bench_loop *loop)
{
	struct recvmmsg_state *s;
	int r = recvmmsg_open(loop);

	if (r < 0)
		return r;
	s = loop->state;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return -errno;
	for (uint32_t i = 0; i < loop->n_fds; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = loop->fds[i] };

		if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, loop->fds[i], &event) < 0)
			return -errno;
	}
	return 0;
}

/* Up to four volleys of a socket that has something; what n is left. */
static uint64_t serve_readable(struct bench_loop *loop, int fd, uint64_t n)
{
	for (int volley = 0; volley < 4 && n > 0; volley++) {
		uint32_t want = n < loop->n_batch ? (uint32_t)n : loop->n_batch;
		int got = echo_volley(loop, fd, want, MSG_DONTWAIT);

		if (got < 0)
			break;
		n -= (uint64_t)got;
		if ((uint32_t)got < want)
			break;
	}
	return n;
}

static int epoll_run(struct bench_loop *loop, uint64_t n)
{
	struct recvmmsg_state *s = loop->state;
	struct epoll_event events[64];

	while (n > 0) {
		int got = epoll_wait(s->epoll_fd, events, 64, -1);

		loop->counters->n_recv_calls++;
		if (got < 0)
			return -errno;
		for (int i = 0; i < got; i++)
			n = serve_readable(loop, events[i].data.fd, n);
	}
	return 0;
}

const struct bench_peer bench_peer_recvmmsg = {
	.name = "recvmmsg",
	.about = "plain recvmmsg/sendmmsg",
	.open = recvmmsg_open,
	.run = recvmmsg_run,
	.close = recvmmsg_close,
};

const struct bench_peer bench_peer_epoll = {
	.name = "epoll",
	.about = "the same behind epoll_wait, up to four volleys per wake",
	.open = epoll_open,
	.run = epoll_run,
	.close = recvmmsg_close,
	.has_listeners = true,
};
