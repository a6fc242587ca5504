/* SPDX-License-Identifier: MIT */

/*
 * A server never talks to itself. A datagram whose forged source is one of the server's own
 * addresses and ports (the one it was sent to, a second address of the machine, one that the
 * machine got later, another listener) is delivered, and the reply to it is `refused`. Whoever has
 * our port elsewhere, or an own address with another port, is replied to.
 */

#include "promise.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

enum { REPLY_BYTES = 4 };

static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

static struct volley_server *server;

static void reply_held(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_held held;

	(void)worker, (void)arg;
	if (volley_packet_hold(packet, &held) == 0)
		volley_held_reply(server, held, packet->data, packet->len);
}

static struct volley_addr parse(const char *text)
{
	struct volley_addr addr;

	REQUIRE(volley_addr_parse(text, &addr) == 0);
	return addr;
}

static uint32_t sum(uint32_t n, const void *data, size_t n_bytes)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < n_bytes; i++)
		n += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	return n;
}

/* One datagram with any source: what an attacker sends, or a program of this machine. */
static void forge(const char *from, const char *to)
{
	struct volley_addr source = parse(from), target = parse(to);
	int family = source.sa.sa_family;
	struct {
		struct udphdr udp;
		char payload[REPLY_BYTES];
	} packet = { .payload = "ping" };
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
	int one = 1;
	uint32_t n = IPPROTO_UDP + sizeof packet;

	REQUIRE(fd >= 0);
	packet.udp.source = source.in.sin_port;
	packet.udp.dest = target.in.sin_port;
	packet.udp.len = htons(sizeof packet);
	if (family == AF_INET) {
		source.in.sin_port = target.in.sin_port = 0;
		n = sum(n, &source.in.sin_addr, 4);
		n = sum(n, &target.in.sin_addr, 4);
	} else {
		source.in6.sin6_port = target.in6.sin6_port = 0;
		n = sum(n, &source.in6.sin6_addr, 16);
		n = sum(n, &target.in6.sin6_addr, 16);
	}
	n = sum(n, &packet, sizeof packet);
	while (n > 0xffff)
		n = (n & 0xffff) + (n >> 16);
	packet.udp.check = htons((uint16_t)~n);
	setsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
		   family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND, &one, sizeof one);
	REQUIRE(bind(fd, &source.sa, source.len) == 0);
	CHECK(sendto(fd, &packet, sizeof packet, 0, &target.sa, target.len) == sizeof packet);
	close(fd);
}

static struct volley_stats get_stats(void)
{
	struct volley_stats stats = { .size = sizeof stats };

	REQUIRE(volley_server_get_stats(server, &stats) == 0);
	return stats;
}

/* Served to the end, and counted: no datagram more than that was sent, and its reply refused. */
static void expect_refused(const char *from, const char *to)
{
	struct volley_stats before = get_stats();
	struct volley_stats after;

	forge(from, to);
	do
		after = get_stats();
	while (after.delivered == before.delivered || after.tx_requested == before.tx_requested);
	if (after.tx_dropped[VOLLEY_TX_REFUSED] != before.tx_dropped[VOLLEY_TX_REFUSED] + 1)
		fprintf(stderr, "from %s to %s: %llu datagrams, %llu replies\n", from, to,
			(unsigned long long)(after.delivered - before.delivered),
			(unsigned long long)(after.tx_sent - before.tx_sent));
	CHECK_EQ(after.delivered, before.delivered + 1);
	CHECK_EQ(after.tx_dropped[VOLLEY_TX_REFUSED], before.tx_dropped[VOLLEY_TX_REFUSED] + 1);
	CHECK_EQ(after.tx_sent, before.tx_sent);
}

/* Somebody at `from` who asks and is replied to. */
static void expect_reply(const char *from, const char *to)
{
	struct volley_addr local = parse(from), peer = parse(to);
	struct pollfd pollfd = { .events = POLLIN };
	char got[16];

	pollfd.fd = socket(local.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(bind(pollfd.fd, &local.sa, local.len) == 0);
	REQUIRE(connect(pollfd.fd, &peer.sa, peer.len) == 0);
	CHECK(send(pollfd.fd, "ping", 4, 0) == 4);
	if (!CHECK(poll(&pollfd, 1, 1000) == 1 &&
		   recv(pollfd.fd, got, sizeof got, MSG_DONTWAIT) == 4))
		fprintf(stderr, "from %s to %s: no reply\n", from, to);
	close(pollfd.fd);
}

static void listen_on(const char *text, volley_packet_fn fn)
{
	REQUIRE(volley_server_listen(server, text, VOLLEY_LISTEN(.on_packet = fn), NULL) >= 0);
}

/* In the callback, of handlers, of held packets. */
static void with(uint32_t n_handlers, volley_packet_fn fn)
{
	uint64_t n_refused;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = n_handlers),
				  &server) == 0);
	listen_on("[::]:7777", fn);
	listen_on("10.0.0.1:7778", fn);
	listen_on("127.0.0.1:7779", fn);
	listen_on("[fd00::1]:7779", fn);
	REQUIRE(volley_server_start(server) == 0);

	/* Itself, a second address, loopback, another listener. */
	expect_refused("10.0.0.1:7777", "10.0.0.1:7777");
	expect_refused("10.0.0.2:7777", "10.0.0.1:7777");
	expect_refused("127.0.0.9:7777", "127.0.0.1:7777");
	expect_refused("[fd00::2]:7777", "[fd00::1]:7777");
	expect_refused("[::1]:7777", "[::1]:7777");
	expect_refused("10.0.0.1:7778", "10.0.0.2:7777");
	expect_refused("10.0.0.2:7777", "10.0.0.1:7778");
	expect_refused("127.0.0.1:7779", "127.0.0.1:7777");
	expect_refused("[fd00::1]:7779", "[fd00::2]:7777");

	/* An own address on a port that is not ours there; a stranger on our port. */
	expect_reply("10.0.0.2:7778", "10.0.0.1:7777");
	expect_reply("127.0.0.2:7779", "127.0.0.1:7779");
	expect_reply("[::1]:7779", "[fd00::1]:7779");
	expect_reply("127.0.0.1:0", "127.0.0.1:7777");

	/* Addresses that come: they can loop until the server hears of them, and then no more. */
	REQUIRE(namespace_run("ip address add 10.0.0.3/24 dev lo"));
	REQUIRE(namespace_run("ip address add 10.0.0.4/24 dev lo"));
	n_refused = get_stats().tx_dropped[VOLLEY_TX_REFUSED];
	forge("10.0.0.3:7777", "10.0.0.4:7777");
	while (get_stats().tx_dropped[VOLLEY_TX_REFUSED] == n_refused)
		;
	expect_refused("10.0.0.3:7777", "10.0.0.4:7777");
	expect_refused("10.0.0.4:7777", "10.0.0.3:7777");
	REQUIRE(namespace_run("ip address del 10.0.0.3/24 dev lo"));
	REQUIRE(namespace_run("ip address del 10.0.0.4/24 dev lo"));
	CHECK(volley_server_free(server) == 0);
}

/* The kernel routes to an IPv6 address a moment after it was added, and loses what comes before. */
static void await_route(const char *from, const char *to)
{
	struct volley_addr source = parse(from), target = parse(to);
	int sender = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd pollfd = { .fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0),
				 .events = POLLIN };

	REQUIRE(bind(sender, &source.sa, source.len) == 0);
	REQUIRE(bind(pollfd.fd, &target.sa, target.len) == 0);
	do
		sendto(sender, "?", 1, 0, &target.sa, target.len);
	while (poll(&pollfd, 1, 20) == 0);
	close(sender);
	close(pollfd.fd);
}

int main(void)
{
	promise_begin(10);
	REQUIRE(namespace_run("ip address add 10.0.0.1/24 dev lo"));
	REQUIRE(namespace_run("ip address add 10.0.0.2/24 dev lo"));
	REQUIRE(namespace_run("ip address add fd00::1/64 dev lo nodad"));
	REQUIRE(namespace_run("ip address add fd00::2/64 dev lo nodad"));
	await_route("[fd00::1]:9", "[fd00::2]:9");
	await_route("[fd00::2]:9", "[fd00::1]:9");
	await_route("[::1]:9", "[::1]:10");
	with(0, reply);
	with(1, reply);
	with(0, reply_held);
	return check_done();
}
