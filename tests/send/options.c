/* SPDX-License-Identifier: MIT */

/*
 * Options of single datagrams, seen by who receives them: the TOS byte with ECT(1), the TTL, and
 * the address they leave from, in each of the five ways to send and to IPv4, IPv6, and IPv4 through
 * an IPv6 socket. Beside each goes a datagram without, which shall be as the socket's are. Bursts
 * whose datagrams differ in an option must not leave as one message, nor in another order.
 */

#include <errno.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"

enum { ECT_1 = 1, OUR_TTL = 7, N_BURST = 32, N_RUN = 4 };
enum way { REPLY, HANDLER, HELD, WORKER, SERVER, N_WAYS };

/* Where the server listens, and a client that asks it. */
static const struct {
	const char *listens, *client, *from;
} cases[] = {
	{ "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1" },
	{ "[::1]:0", "[::1]:0", "::1" },
	{ "[::]:0", "127.0.0.1:0", "127.0.0.9" },
	{ "[::]:0", "[::1]:0", "::1" },
};

static enum way way;
static struct volley_server *server;
static struct volley_addr local;
static sem_t done;

static int send_by(struct volley_packet *packet, struct volley_held held, const char *text,
		   const struct volley_send_options *options)
{
	size_t len = strlen(text);

	switch (way) {
	case REPLY:
	case HANDLER:
		return volley_packet_reply_with(packet, text, len, options);
	case HELD:
		return volley_held_reply_with(server, held, text, len, options);
	case WORKER:
		return volley_worker_send(packet->worker, packet->listener, packet->peer, text, len,
					  options);
	default:
		return volley_server_send(server, packet->listener, packet->peer, text, len,
					  options);
	}
}

/* One with all that can be said, one with nothing, and what cannot be. */
static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	const struct volley_send_options *all = VOLLEY_SEND(.flags = VOLLEY_SEND_TOS |
								     VOLLEY_SEND_TTL |
								     VOLLEY_SEND_IF_ROOM,
							    .tos = ECT_1, .ttl = OUR_TTL,
							    .local = &local);
	struct volley_held held[4] = { 0 };

	(void)worker, (void)arg;
	for (int i = 0; i < 4 && way == HELD; i++)
		CHECK_EQ(volley_packet_hold(packet, &held[i]), 0);
	CHECK_EQ(send_by(packet, held[0], "all", all), 0);
	CHECK_EQ(send_by(packet, held[1], "tos",
			 VOLLEY_SEND(.flags = VOLLEY_SEND_TOS, .tos = ECT_1)),
		 0);
	CHECK_EQ(send_by(packet, held[2], "none", NULL), 0);
	CHECK_EQ(send_by(packet, held[3], "x", VOLLEY_SEND(.flags = 1u << 31)), -EINVAL);
	CHECK_EQ(send_by(packet, held[3], "x", VOLLEY_SEND(.tos = 256)), -EINVAL);
	CHECK_EQ(send_by(packet, held[3], "x", VOLLEY_SEND(.ttl = 256)), -EINVAL);
	if (way == HELD)
		CHECK_EQ(volley_held_release(server, held[3]), 0);
	sem_post(&done);
}

struct seen {
	char text[8];
	int tos, ttl;
	struct volley_addr from;
};

static void read_header(struct msghdr *msg, struct seen *seen)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_type == (cmsg->cmsg_level == IPPROTO_IP ? IP_TTL : IPV6_HOPLIMIT))
			memcpy(&seen->ttl, CMSG_DATA(cmsg), sizeof seen->ttl);
		else if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_TOS)
			seen->tos = *CMSG_DATA(cmsg);
		else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_TCLASS)
			memcpy(&seen->tos, CMSG_DATA(cmsg), sizeof seen->tos);
	}
}

static struct seen look(int fd)
{
	struct seen seen = { .tos = -1, .ttl = -1 };
	char control[256];
	struct iovec iov = { seen.text, sizeof seen.text - 1 };
	struct msghdr msg = { .msg_name = &seen.from,
			      .msg_namelen = sizeof seen.from.in6,
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof control };

	REQUIRE(loopback_wait(fd) == 1);
	REQUIRE(recvmsg(fd, &msg, 0) > 0);
	seen.from.len = msg.msg_namelen;
	read_header(&msg, &seen);
	return seen;
}

static int open_client(const char *text)
{
	int on = 1;
	int fd = loopback_open(text, NULL);

	(void)setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
	return fd;
}

/* Those of one request, in any order: a handler's and the worker's ways are several. */
static void expect(int fd, size_t i)
{
	struct volley_addr mine;
	char text[VOLLEY_ADDR_TEXT_BYTES];
	int n_seen[3] = { 0 };

	for (int k = 0; k < 3; k++) {
		struct seen seen = look(fd);
		bool is_all = strcmp(seen.text, "all") == 0;
		bool is_tos = strcmp(seen.text, "tos") == 0;

		n_seen[is_all ? 0 : is_tos ? 1 : 2]++;
		CHECK_EQ(seen.tos, is_all || is_tos ? ECT_1 : 0);
		CHECK_EQ(seen.ttl, is_all ? OUR_TTL : 64);
		if (!is_all)
			continue;
		seen.from.in.sin_port = 0;
		snprintf(text, sizeof text, strchr(cases[i].from, ':') != NULL ? "[%s]:0" : "%s:0",
			 cases[i].from);
		mine = loopback_addr(text);
		CHECK(volley_addr_is_equal(&seen.from, &mine));
	}
	CHECK(n_seen[0] == 1 && n_seen[1] == 1 && n_seen[2] == 1);
}

static void try_case(size_t i)
{
	struct volley_addr to;
	struct volley_stats stats = { .size = sizeof stats };
	char text[VOLLEY_ADDR_TEXT_BYTES];
	int fd = open_client(cases[i].client);

	REQUIRE(volley_server_new(
			VOLLEY_CONFIG(.n_workers = 1, .n_handlers = way == HANDLER ? 1 : 0),
			&server) == 0);
	REQUIRE(volley_server_listen(server, cases[i].listens,
				     VOLLEY_LISTEN(.on_packet = on_packet), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	to = listener_addr(server, 0);
	snprintf(text, sizeof text,
		 strchr(cases[i].client, '[') != NULL ? "[::1]:%u" : "127.0.0.1:%u",
		 volley_addr_get_port(&to));
	to = loopback_addr(text);
	snprintf(text, sizeof text, strchr(cases[i].from, ':') != NULL ? "[%s]:0" : "%s:0",
		 cases[i].from);
	local = loopback_addr(text);
	loopback_send(fd, &to, 1, 8);
	sem_wait(&done);
	expect(fd, i);
	CHECK_EQ(volley_server_close(server), 0);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK_EQ(stats.tx_sent, 3);
	CHECK(ledger_find_server_fault(server) == NULL);
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
}

/* Every second run is marked. Each run may leave as one message, and none passes another. */
static void burst(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	for (uint32_t i = 0; i < N_BURST; i++) {
		char text[4];

		snprintf(text, sizeof text, "%02u", i);
		CHECK_EQ(volley_packet_reply_with(
				 packet, text, 2,
				 VOLLEY_SEND(.flags = VOLLEY_SEND_TOS, .tos = i / N_RUN % 2)),
			 0);
	}
}

static void try_burst(void)
{
	struct volley_addr to;
	struct volley_stats stats = { .size = sizeof stats };
	int fd = open_client("127.0.0.1:0");

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_packet = burst),
				     NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	to = listener_addr(server, 0);
	loopback_send(fd, &to, 1, 8);
	for (int i = 0; i < N_BURST; i++) {
		struct seen seen = look(fd);

		CHECK_EQ(atoi(seen.text), i);
		CHECK_EQ(seen.tos, i / N_RUN % 2);
	}
	CHECK_EQ(volley_server_close(server), 0);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK_EQ(stats.tx_sent, N_BURST);
	CHECK_EQ(stats.tx_messages, stats.tx_segmented > 0 ? N_BURST / N_RUN : N_BURST);
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
}

int main(void)
{
	sem_init(&done, 0, 0);
	for (way = 0; way < N_WAYS; way++)
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
			try_case(i);
	try_burst();
	return check_done();
}
