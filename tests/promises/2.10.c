/* SPDX-License-Identifier: MIT */

/*
 * Whatever options an adopted socket has, every datagram that reaches it is served and its reply
 * leaves whole, and an error queue wakes nobody for nothing.
 */

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "promises/promise.h"

#ifndef IPV6_2292PKTINFO
#define IPV6_2292PKTINFO 2
#endif
#ifndef IPV6_2292HOPLIMIT
#define IPV6_2292HOPLIMIT 8
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif

enum { N_BYTES = 1200 };

static uint32_t n_served;

static void echo(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker;
	(void)arg;
	n_served++;
	CHECK_EQ(packet->len, N_BYTES);
	volley_packet_reply(packet, packet->data, packet->len);
}

static void set(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value); /* where the kernel knows it */
}

/* What brings control messages. */
static void want_much(int fd)
{
	set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	set(fd, SOL_SOCKET, SO_RCVMARK, 1);
	for (int name = IP_RECVOPTS; name <= IP_RETOPTS; name++)
		set(fd, IPPROTO_IP, name, 1);
	set(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
	set(fd, IPPROTO_IP, IP_CHECKSUM, 1);
	set(fd, IPPROTO_IPV6, IPV6_2292PKTINFO, 1);
	set(fd, IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1);
	set(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1);
	set(fd, IPPROTO_IPV6, IPV6_RECVPATHMTU, 1);
}

/* What fills an error queue, and what cuts replies up or keeps them back. */
static void want_trouble(int fd)
{
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	set(fd, SOL_SOCKET, SO_TIMESTAMPING,
	    SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE |
		    SOF_TIMESTAMPING_SOFTWARE);
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 100);
}

static int open_bound(const char *address, struct volley_addr *ret_addr)
{
	struct volley_addr addr;
	socklen_t n = sizeof addr.in6;
	int fd;

	REQUIRE(volley_addr_parse(address, &addr) >= 0);
	fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(fd >= 0 && bind(fd, &addr.sa, addr.len) == 0);
	REQUIRE(getsockname(fd, &addr.sa, &n) == 0);
	addr.len = n;
	*ret_addr = addr;
	return fd;
}

/* Take turns until nothing is left to do. Returns how many it took; at most `limit`. */
static int serve(struct volley_server *server, int limit)
{
	struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };
	int n = 0;

	while (n < limit && poll(&fd, 1, n == 0 ? 1000 : 30) > 0) {
		REQUIRE(volley_server_process(server) >= 0);
		n++;
	}
	return n;
}

static void ask(struct volley_server *server, const char *from, const char *to, uint16_t port)
{
	static char data[N_BYTES + 1];
	struct volley_addr addr;
	struct volley_addr own;
	struct pollfd fd = { .events = POLLIN };

	fd.fd = open_bound(from, &own);
	REQUIRE(volley_addr_parse(to, &addr) >= 0);
	addr.in.sin_port = htons(port);
	REQUIRE(sendto(fd.fd, data, N_BYTES, 0, &addr.sa, addr.len) == N_BYTES);
	CHECK(serve(server, 30) < 30);
	CHECK(poll(&fd, 1, 1000) == 1);
	CHECK_EQ(recv(fd.fd, data, sizeof data, MSG_DONTWAIT), N_BYTES);
	close(fd.fd);
}

static struct volley_server *adopt(int fd)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD), &server) >= 0);
	REQUIRE(volley_server_adopt(server, &fd, 1, VOLLEY_LISTEN(.on_packet = echo), NULL) >= 0);
	REQUIRE(volley_server_start(server) >= 0);
	return server;
}

static void check_books(struct volley_server *server, uint64_t n)
{
	struct volley_stats stats = { .size = sizeof stats };

	REQUIRE(volley_server_get_stats(server, &stats) >= 0);
	CHECK_EQ(stats.delivered, n);
	CHECK_EQ(stats.rx_datagrams, n);
	CHECK_EQ(stats.rx_dropped[VOLLEY_RX_CTRUNC], 0);
	CHECK_EQ(stats.tx_sent, n);
}

/* One that holds the socket too has its errors told, while we serve. */
static void switch_on_again(struct volley_server *server, int other, uint16_t port)
{
	struct volley_addr dead;

	want_much(other);
	set(other, IPPROTO_IP, IP_RECVERR, 1);
	set(other, IPPROTO_IPV6, IPV6_RECVERR, 1);
	close(open_bound("[::1]:0", &dead)); /* nobody is there now */
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(volley_server_send(server, listener_at(server, 0), &dead, "x", 1, NULL),
			 0);
		CHECK(serve(server, 30) < 30);
	}
	ask(server, "127.0.0.1:0", "127.0.0.1:0", port);
	ask(server, "[::1]:0", "[::1]:0", port);
}

int main(void)
{
	struct volley_addr addr;
	struct volley_addr dead;
	struct volley_server *server;
	uint16_t port;
	int other;
	int fd;

	promise_begin(20);
	fd = open_bound("[::]:0", &addr);
	port = volley_addr_get_port(&addr);
	want_much(fd);
	want_trouble(fd);
	/* An error queue with something in it, from before. */
	close(open_bound("[::1]:0", &dead));
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
	sendto(fd, "x", 1, 0, &dead.sa, dead.len);
	want_trouble(fd);
	set(fd, IPPROTO_UDP, UDP_CORK, 1);
	other = dup(fd);
	server = adopt(fd);
	ask(server, "127.0.0.1:0", "127.0.0.1:0", port);
	ask(server, "[::1]:0", "[::1]:0", port);
	check_books(server, 2);
	switch_on_again(server, other, port);
	CHECK_EQ(n_served, 4);
	CHECK_EQ(volley_server_free(server), 0);
	close(other);
	return check_done();
}
