/* SPDX-License-Identifier: MIT */

/*
 * Replies that are longer than the path to a client takes arrive: over IPv4 at once, because
 * routers fragment; over IPv6 as soon as the first one has told the kernel how narrow it is. One
 * alone and many that leave as one message, with the default config and a dual-stack socket.
 *
 *     server 10.1.0.1 ---- 10.1.0.2 router 10.2.0.2 -- mtu 1280 -- 10.2.0.1 client
 *            fd01::1 ------ fd01::2        fd02::2 --------------- fd02::1
 */

#include "promise.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

enum { REPLY_BYTES = 1400, N_MANY = 20, N_TRIES = 10 };

/* The first byte of a request says how many replies it wants. */
static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	static const char bytes[REPLY_BYTES];

	(void)worker, (void)arg;
	for (int i = 0; i < ((const uint8_t *)packet->data)[0]; i++)
		volley_packet_reply(packet, bytes, sizeof bytes);
}

static void build(int server, int router, int client)
{
	int pid = (int)getpid();

	namespace_set(router);
	REQUIRE(namespace_run("ip link add r1 type veth peer name s"));
	REQUIRE(namespace_run("ip link add r2 mtu 1280 type veth peer name c"));
	REQUIRE(namespace_run("ip link set s netns /proc/%d/fd/%d", pid, server));
	REQUIRE(namespace_run("ip link set c netns /proc/%d/fd/%d", pid, client));
	REQUIRE(namespace_run("echo 1 >/proc/sys/net/ipv4/ip_forward"));
	REQUIRE(namespace_run("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"));
	for (int i = 1; i <= 2; i++) {
		REQUIRE(namespace_run("ip address add 10.%d.0.2/24 dev r%d", i, i));
		REQUIRE(namespace_run("ip address add fd0%d::2/64 dev r%d nodad", i, i));
		REQUIRE(namespace_run("ip link set r%d up", i));
	}
	for (int i = 1; i <= 2; i++) {
		char dev = i == 1 ? 's' : 'c';

		namespace_set(i == 1 ? server : client);
		REQUIRE(namespace_run("ip address add 10.%d.0.1/24 dev %c", i, dev));
		REQUIRE(namespace_run("ip address add fd0%d::1/64 dev %c nodad", i, dev));
		REQUIRE(namespace_run("ip link set %c up", dev));
		REQUIRE(namespace_run("ip route add default via 10.%d.0.2", i));
		REQUIRE(namespace_run("ip route add default via fd0%d::2", i));
	}
}

/* How many of the n replies to one request came, none of them later than 300 ms after another. */
static int ask(int fd, int n)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	uint8_t request = (uint8_t)n;
	char room[2 * REPLY_BYTES];
	int n_got = 0;

	CHECK(send(fd, &request, 1, 0) == 1);
	while (n_got < n && poll(&pollfd, 1, 300) == 1) {
		ssize_t r = recv(fd, room, sizeof room, MSG_DONTWAIT);

		n_got += r == REPLY_BYTES;
	}
	return n_got;
}

static int connect_to(const char *text)
{
	struct volley_addr addr;
	int fd;

	REQUIRE(volley_addr_parse(text, &addr) == 0);
	fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(connect(fd, &addr.sa, addr.len) == 0);
	return fd;
}

static void expect_replies(const char *text, int n, int n_tries)
{
	int fd = connect_to(text);
	int n_got = 0;

	while (n_got < n && n_tries-- > 0)
		n_got = ask(fd, n);
	fprintf(stderr, "%s: %d of %d replies\n", text, n_got, n);
	CHECK_EQ(n_got, n);
	close(fd);
}

int main(void)
{
	struct volley_server *server;
	int host, router, client;

	promise_begin(20);
	router = namespace_get();
	REQUIRE(namespace_enter());
	client = namespace_get();
	REQUIRE(namespace_enter());
	host = namespace_get();
	build(host, router, client);

	namespace_set(host);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	REQUIRE(volley_server_listen(server, ":7777", VOLLEY_LISTEN(.on_packet = reply), NULL) >=
		0);
	REQUIRE(volley_server_start(server) == 0);

	namespace_set(client);
	expect_replies("10.1.0.1:7777", 1, 1);
	expect_replies("10.1.0.1:7777", N_MANY, 1);
	expect_replies("[fd01::1]:7777", 1, N_TRIES);
	expect_replies("[fd01::1]:7777", N_MANY, N_TRIES);
	CHECK(volley_server_free(server) == 0);
	return check_done();
}
