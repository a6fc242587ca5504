/* SPDX-License-Identifier: MIT */

/*
 * A reply leaves by the link that its request came by: always from and to link-local addresses,
 * which are other hosts on each link, and with VOLLEY_LISTEN_ARRIVAL_INTERFACE from any. Replies in
 * the callback, of handlers, and to held packets.
 *
 *                     / s0 -- client A  169.254.9.9  fe80::9
 *     server 169.254.1.1
 *                     \ s1 -- client B  169.254.9.9  fe80::9   10.9.0.9  fd09::9
 *
 * Its routing table sends all of it to A. A request at s1 from 10.9.0.9 finds its way back only by
 * a rule for what leaves by s1.
 */

#include "promise.h"

#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

enum { N_REQUESTS = 8, N_CLIENTS = 2 };

#ifndef VOLLEY_LISTEN_ARRIVAL_INTERFACE
#define VOLLEY_LISTEN_ARRIVAL_INTERFACE 0u
#endif

static struct volley_server *server;

static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

static void reply_held(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_held held;

	(void)worker, (void)arg;
	if (CHECK(volley_packet_hold(packet, &held) == 0))
		CHECK(volley_held_reply(server, held, packet->data, packet->len) == 0);
}

static void build(int host, const int clients[N_CLIENTS])
{
	int pid = (int)getpid();

	for (int i = 0; i < N_CLIENTS; i++) {
		namespace_set(host);
		REQUIRE(namespace_run("ip link add s%d type veth peer name c netns /proc/%d/fd/%d",
				      i, pid, clients[i]));
		REQUIRE(namespace_run("ip address add 169.254.1.1/16 dev s%d", i));
		REQUIRE(namespace_run("ip address add fe80::1/64 dev s%d nodad", i));
		REQUIRE(namespace_run("ip address add 10.%d.0.1/24 dev s%d", i + 1, i));
		REQUIRE(namespace_run("ip address add fd0%d::1/64 dev s%d nodad", i + 1, i));
		REQUIRE(namespace_run("ip link set s%d up", i));
		namespace_set(clients[i]);
		REQUIRE(namespace_run("ip address add 169.254.9.9/16 dev c"));
		REQUIRE(namespace_run("ip address add fe80::9/64 dev c nodad"));
		REQUIRE(namespace_run("ip address add 10.%d.0.2/24 dev c", i + 1));
		REQUIRE(namespace_run("ip address add fd0%d::2/64 dev c nodad", i + 1));
		REQUIRE(namespace_run("ip address add 10.9.0.9/32 dev lo"));
		REQUIRE(namespace_run("ip address add fd09::9/128 dev lo"));
		REQUIRE(namespace_run("ip link set c up"));
	}
	namespace_set(host);
	REQUIRE(namespace_run("ip route add default via 10.1.0.2"));
	REQUIRE(namespace_run("ip route add default via fd01::2"));
	REQUIRE(namespace_run("ip route add default via 10.2.0.2 table 100"));
	REQUIRE(namespace_run("ip route add default via fd02::2 table 100"));
	REQUIRE(namespace_run("ip rule add oif s1 table 100"));
	REQUIRE(namespace_run("ip -6 rule add oif s1 table 100"));
}

/* A client's socket, on port 5000 of `from`, that talks to `to`, by its link. */
static int open_client(int client, const char *from, const char *to)
{
	struct volley_addr local, peer;
	int fd;

	namespace_set(client);
	REQUIRE(volley_addr_parse(from, &local) == 0 && volley_addr_parse(to, &peer) == 0);
	fd = socket(local.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(bind(fd, &local.sa, local.len) == 0);
	REQUIRE(connect(fd, &peer.sa, peer.len) == 0);
	return fd;
}

/* How many of its own replies a client gets. */
static int count_replies(int fd, char name)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char got;
	int n = 0;

	while (n < N_REQUESTS && poll(&pollfd, 1, 300) == 1 && recv(fd, &got, 1, MSG_DONTWAIT) == 1)
		n += got == name;
	return n;
}

struct way {
	const char *name;
	uint32_t n_handlers;
	volley_packet_fn fn;
};

/*
 * Both clients have one address and port and ask at one of ours, or B alone does. All requests wait
 * before the server starts, so that one volley has them and their replies could leave together.
 */
static void run(int host, const int clients[N_CLIENTS], const struct way *way, const char *listen,
		uint32_t flags, const char *from, const char *to, int first)
{
	int fds[N_CLIENTS];

	namespace_set(host);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = way->n_handlers),
				  &server) == 0);
	REQUIRE(volley_server_listen(server, listen,
				     VOLLEY_LISTEN(.on_packet = way->fn, .flags = flags),
				     NULL) >= 0);
	for (int i = first; i < N_CLIENTS; i++) {
		char name = (char)('a' + i);

		fds[i] = open_client(clients[i], from, to);
		for (int k = 0; k < N_REQUESTS; k++)
			CHECK(send(fds[i], &name, 1, 0) == 1);
	}
	namespace_set(host);
	REQUIRE(volley_server_start(server) == 0);
	for (int i = first; i < N_CLIENTS; i++) {
		int n = count_replies(fds[i], (char)('a' + i));

		if (n < N_REQUESTS)
			fprintf(stderr, "%s, %s, from %s to %s, client %d: %d of %d\n", way->name,
				listen, from, to, i, n, N_REQUESTS);
		CHECK_EQ(n, N_REQUESTS);
		close(fds[i]);
	}
	CHECK(volley_server_free(server) == 0);
}

int main(void)
{
	static const struct way ways[] = { { "worker", 0, reply },
					   { "handler", 1, reply },
					   { "held", 0, reply_held } };
	const uint32_t arrival = VOLLEY_LISTEN_ARRIVAL_INTERFACE;
	int clients[N_CLIENTS];
	int host;

	promise_begin(30);
	clients[0] = namespace_get();
	REQUIRE(namespace_enter());
	clients[1] = namespace_get();
	REQUIRE(namespace_enter());
	host = namespace_get();
	build(host, clients);
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		const struct way *way = &ways[i];

		run(host, clients, way, "0.0.0.0:7777", 0, "169.254.9.9:5000", "169.254.1.1:7777",
		    0);
		run(host, clients, way, "[::]:7777", 0, "169.254.9.9:5000", "169.254.1.1:7777", 0);
		run(host, clients, way, "[::]:7777", 0, "[fe80::9%c]:5000", "[fe80::1%c]:7777", 0);
		run(host, clients, way, "0.0.0.0:7777", arrival, "10.9.0.9:5000", "10.2.0.1:7777",
		    1);
		run(host, clients, way, "[::]:7777", arrival, "10.9.0.9:5000", "10.2.0.1:7777", 1);
		run(host, clients, way, "[::]:7777", arrival, "[fd09::9]:5000", "[fd02::1]:7777",
		    1);
	}
	run(host, clients, &ways[0], "169.254.1.1:7777", 0, "169.254.9.9:5000", "169.254.1.1:7777",
	    0);
	run(host, clients, &ways[0], "10.2.0.1:7777", arrival, "10.9.0.9:5000", "10.2.0.1:7777", 1);
	run(host, clients, &ways[0], "[fd02::1]:7777", arrival, "[fd09::9]:5000", "[fd02::1]:7777",
	    1);
	return check_done();
}
