/* SPDX-License-Identifier: MIT */

#include "send/receivers.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loopback.h"
#include "sys/socket.h"

enum { BATCH = 64, ROOM_BYTES = 65536, RCVBUF_BYTES = 64 << 20, PATIENCE_MS = 1000 };

static struct pollfd fds[RECEIVERS_N];
static struct volley_addr addrs[RECEIVERS_N];
static uint8_t (*payloads)[ROOM_BYTES];

void receivers_open(struct script_world *world)
{
	for (uint32_t i = 0; i < RECEIVERS_N; i++) {
		bool v6 = i >= SCRIPT_N_HEALTHY;
		char text[32];
		uint32_t got;

		/* The last two of IPv4 are behind the narrow path. */
		snprintf(text, sizeof text, v6 ? "[::1]:0" : "127.0.%u.1:0",
			 i >= SCRIPT_N_HEALTHY - 2 ? 2u : 0u);
		fds[i].fd = loopback_open(text, &addrs[i]);
		world->healthy[v6][i % SCRIPT_N_HEALTHY] = addrs[i];
		fds[i].events = POLLIN;
		if (vly_socket_set_buffer(fds[i].fd, VLY_SOCKET_RCVBUF, RCVBUF_BYTES, &got) < 0)
			abort();
	}
	payloads = calloc(BATCH, sizeof *payloads);
	if (payloads == NULL)
		abort();
}

uint64_t receivers_hash(const uint8_t *data, uint32_t n)
{
	uint64_t hash = n;
	uint64_t word;

	for (; n >= sizeof word; data += sizeof word, n -= (uint32_t)sizeof word) {
		memcpy(&word, data, sizeof word);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	for (; n > 0; n--)
		hash = (hash ^ *data++) * UINT64_C(0x100000001b3);
	return hash;
}

static uint32_t find_source(const struct sockaddr *from)
{
	uint32_t addr;

	if (from->sa_family != AF_INET)
		return 0;
	addr = ntohl(((const struct sockaddr_in *)(const void *)from)->sin_addr.s_addr);
	if (addr - INADDR_LOOPBACK >= RECEIVERS_N_SOURCES)
		abort();
	return addr - INADDR_LOOPBACK;
}

uint32_t receivers_find(const struct volley_addr *peer, uint32_t listener,
			const struct volley_addr *local)
{
	uint32_t source = listener == 0 ? 1 : 0; /* 127.0.0.2; for the others the kernel's choice */

	if (local != NULL && local->len > 0)
		source = find_source(&local->sa);
	for (uint32_t i = 0; i < RECEIVERS_N; i++)
		if (addrs[i].sa.sa_family == peer->sa.sa_family &&
		    addrs[i].in.sin_port == peer->in.sin_port)
			return i * RECEIVERS_N_SOURCES + source;
	fprintf(stderr, "receivers: not one of ours\n");
	abort();
}

static uint32_t read_one(int fd, struct inbox *of)
{
	struct sockaddr_in6 from[BATCH];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	int n;

	memset(msgs, 0, sizeof msgs);
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ payloads[i], ROOM_BYTES };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
						   .msg_iovlen = 1,
						   .msg_name = &from[i],
						   .msg_namelen = sizeof from[i] };
	}
	n = recvmmsg(fd, msgs, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		const void *source = &from[i];
		struct inbox *inbox = &of[find_source(source)];

		if (inbox->n == RECEIVERS_MAX)
			abort();
		inbox->list[inbox->n++] = (struct received){
			.len = msgs[i].msg_len,
			.hash = receivers_hash(payloads[i], msgs[i].msg_len),
		};
	}
	return n > 0 ? (uint32_t)n : 0;
}

void receivers_clear(struct inboxes *inboxes)
{
	inboxes->n = 0;
	for (uint32_t i = 0; i < RECEIVERS_N_INBOXES; i++)
		inboxes->of[i].n = 0;
}

void receivers_read(struct inboxes *inboxes, uint32_t n)
{
	uint32_t n_now;

	do {
		n_now = 0;
		for (uint32_t i = 0; i < RECEIVERS_N; i++)
			n_now += read_one(fds[i].fd, &inboxes->of[i * RECEIVERS_N_SOURCES]);
		inboxes->n += n_now;
	} while (n_now > 0 || (inboxes->n < n && poll(fds, RECEIVERS_N, PATIENCE_MS) > 0));
}

uint64_t receivers_n_dropped(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < RECEIVERS_N; i++) {
		struct vly_socket_meminfo info;

		if (vly_socket_get_meminfo(fds[i].fd, &info) < 0)
			abort();
		n += info.drops;
	}
	return n;
}
