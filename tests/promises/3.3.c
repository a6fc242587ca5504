/* SPDX-License-Identifier: MIT */

/*
 * A listener that is bound to a group sends to it, and does not hear itself. With the flag that
 * lets it, it hears itself once, and a reply to that is refused.
 */

#include <arpa/inet.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "links.h"

#define GROUP "239.1.2.3"
#ifndef VOLLEY_LISTEN_MULTICAST_LOOP
#define VOLLEY_LISTEN_MULTICAST_LOOP 0u
#endif

struct seen {
	unsigned int n_asked;
	unsigned int n_own;
	int r;
};

static struct volley_addr group;

/* '?' is a question, and its reply goes to the group; what says "ours" is that reply. */
static void announce(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct seen *seen = arg;

	if (packet->data[0] != '?') {
		seen->n_own++;
		seen->r = volley_packet_reply(packet, "no", 2);
		return;
	}
	seen->n_asked++;
	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
				    &group, "ours", 4, NULL),
		 0);
}

static void join(int fd, const char *device)
{
	struct ip_mreqn mreq = { .imr_ifindex = (int)if_nametoindex(device) };

	inet_pton(AF_INET, GROUP, &mreq.imr_multiaddr);
	REQUIRE(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof mreq) == 0);
}

/* A member at the far end, bound to the group and its port. */
static int open_member(uint16_t port)
{
	char text[64];
	int fd;

	snprintf(text, sizeof text, GROUP ":%u", port);
	fd = links_open_far(text, "b0");
	links_enter_far();
	join(fd, "b0");
	links_enter_near();
	return fd;
}

static struct seen run(uint32_t flags)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *server;
	struct volley_addr from;
	struct seen seen = { .n_asked = 0 };
	int member, client;
	char buf[8];

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 3), &server) == 0);
	REQUIRE(volley_server_listen(
			server, GROUP ":0",
			VOLLEY_LISTEN(.on_packet = announce, .arg = &seen, .flags = flags),
			NULL) == 0);
	group = listener_addr(server, 0);
	REQUIRE(volley_server_start(server) == 0);
	member = open_member(volley_addr_get_port(&group));
	client = links_open_far("10.1.0.9:0", "b0");
	links_send(client, GROUP, volley_addr_get_port(&group), "?", 1);
	/* The client's own question comes to the member first. */
	CHECK_EQ(links_recv(member, buf, sizeof buf, &from, 2000), 1);
	CHECK_EQ(links_recv(member, buf, sizeof buf, &from, 2000), 4);
	CHECK_EQ(from.in.sin_addr.s_addr, inet_addr("10.1.0.1"));
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK_EQ(links_recv(member, buf, sizeof buf, NULL, 0), -1);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_REFUSED], seen.n_own);
	CHECK_EQ(stats.tx_sent, 1);
	CHECK_EQ(seen.n_asked, 1);
	CHECK_EQ(volley_server_free(server), 0);
	close(member);
	close(client);
	return seen;
}

int main(void)
{
	struct seen seen;
	int helper;

	promise_begin(10);
	links_begin();
	REQUIRE(namespace_run("ip route add 239.0.0.0/8 dev a0"));
	helper = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	join(helper, "a0");

	seen = run(0);
	CHECK_EQ(seen.n_own, 0);
	seen = run(VOLLEY_LISTEN_MULTICAST_LOOP);
	CHECK_EQ(seen.n_own, 1);
	CHECK_EQ(seen.r, -22); /* EINVAL */
	close(helper);
	return check_done();
}
