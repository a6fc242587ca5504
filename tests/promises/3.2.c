/* SPDX-License-Identifier: MIT */

/*
 * The program learns where a datagram was sent to, be that one of several addresses, a broadcast or
 * a group, and which of these it was; and the reply leaves from an address of the link that it came
 * by. On both links, on a worker and on a handler, by a held packet too.
 */

#include <volley/volley.h>

#include "lib/listeners.h"
#include "links.h"

#ifndef VOLLEY_PACKET_MULTICAST /* the nearest that there was */
#define VOLLEY_PACKET_MULTICAST 2u
#define VOLLEY_PACKET_BROADCAST 4u
static int get_destination(const struct volley_packet *packet, struct volley_addr *ret_addr)
{
	*ret_addr = *packet->local;
	return 0;
}
#define volley_packet_get_destination get_destination
#endif

/* What the callback saw, as the reply's payload. */
struct seen {
	struct volley_addr destination;
	uint32_t flags;
	int r;
};

static bool holds;

static void tell(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_server **server = arg;
	struct seen seen = { .flags = packet->flags };
	struct volley_held held;

	(void)worker;
	seen.r = volley_packet_get_destination(packet, &seen.destination);
	if (!holds)
		volley_packet_reply(packet, &seen, sizeof seen);
	else if (volley_packet_hold(packet, &held) == 0)
		volley_held_reply(*server, held, &seen, sizeof seen);
}

/* Scopes have numbers on one machine and names on both, so addresses are compared as text. */
static bool is_text(const struct volley_addr *addr, const char *host, uint16_t port)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?", want[VOLLEY_ADDR_TEXT_BYTES];

	volley_addr_format(addr, text, sizeof text);
	snprintf(want, sizeof want, "%s:%u", host, port);
	if (strcmp(text, want) == 0)
		return true;
	fprintf(stderr, "\t%s is not %s\n", text, want);
	return false;
}

static bool is_far_text(const struct volley_addr *addr, const char *host, uint16_t port)
{
	bool is;

	links_enter_far();
	is = is_text(addr, host, port);
	links_enter_near();
	return is;
}

/* Send to `host` as the far end writes it; the near end sees `near_host`, replies from `source`. */
static void ask(int client, uint16_t port, const char *host, const char *near_host, uint32_t flags,
		const char *source)
{
	struct volley_addr from;
	struct seen seen;

	links_send(client, host, port, "?", 1);
	if (!CHECK(links_recv(client, &seen, sizeof seen, &from, 2000) == sizeof seen))
		return;
	CHECK_EQ(seen.r, 0);
	CHECK_EQ(seen.flags, flags);
	CHECK(is_text(&seen.destination, near_host, port));
	CHECK(is_far_text(&from, source, port));
}

static struct volley_server *server;

static uint16_t open_server(const char *address, uint32_t n_handlers)
{
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .n_handlers = n_handlers),
				  &server) == 0);
	REQUIRE(volley_server_listen(server, address,
				     VOLLEY_LISTEN(.on_packet = tell, .arg = &server), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	return volley_addr_get_port(LISTENER_ADDR(server, 0));
}

/* Each address as an IPv4 client sees it, by both links; `mapped` as an IPv6 socket shows it. */
static void ask_in(const char *address, uint32_t n_handlers, const char *mapped)
{
	uint16_t port = open_server(address, n_handlers);

	for (int link = 1; link <= 2; link++) {
		char at[64], device[8], hosts[4][64], shown[4][64], source[64];
		int client;

		snprintf(at, sizeof at, "10.%d.0.9:0", link);
		snprintf(device, sizeof device, "b%d", link - 1);
		snprintf(source, sizeof source, "10.%d.0.1", link);
		client = links_open_far(at, device);
		snprintf(hosts[0], sizeof hosts[0], "10.%d.0.1", link);
		snprintf(hosts[1], sizeof hosts[1], "10.%d.0.255", link);
		snprintf(hosts[2], sizeof hosts[2], "224.0.0.1");
		snprintf(hosts[3], sizeof hosts[3], "10.1.0.2");
		for (int i = 0; i < 4; i++)
			snprintf(shown[i], sizeof shown[i], "%s%s%s", *mapped ? "[" : "", mapped,
				 hosts[i]);
		for (int i = 0; i < 4 && *mapped; i++)
			strcat(shown[i], "]");
		ask(client, port, hosts[0], shown[0], 0, source);
		ask(client, port, hosts[1], shown[1], VOLLEY_PACKET_BROADCAST, source);
		ask(client, port, hosts[2], shown[2], VOLLEY_PACKET_MULTICAST, source);
		if (link == 1)
			ask(client, port, hosts[3], shown[3], 0, hosts[3]);
		close(client);
	}
	CHECK_EQ(volley_server_free(server), 0);
}

static void ask_in6(uint32_t n_handlers)
{
	uint16_t port = open_server("[::]:0", n_handlers);
	int client = links_open_far("[fe80::9%b0]:0", "b0");
	int client2 = links_open_far("[fe80::9%b1]:0", "b1");
	int wide = links_open_far("[fd02::9]:0", "b1");

	ask(client, port, "[ff02::1%b0]", "[ff02::1%a0]", VOLLEY_PACKET_MULTICAST, "[fe80::1%b0]");
	ask(client2, port, "[ff02::1%b1]", "[ff02::1%a1]", VOLLEY_PACKET_MULTICAST, "[fe80::1%b1]");
	ask(client2, port, "[fe80::1%b1]", "[fe80::1%a1]", 0, "[fe80::1%b1]");
	ask(wide, port, "[ff02::1%b1]", "[ff02::1%a1]", VOLLEY_PACKET_MULTICAST, "[fd02::1]");
	ask(wide, port, "[fd02::1]", "[fd02::1]", 0, "[fd02::1]");
	close(client);
	close(client2);
	close(wide);
	CHECK_EQ(volley_server_free(server), 0);
}

static void ask_bound(const char *address, uint32_t flags)
{
	char host[64];
	uint16_t port = open_server(address, 0);
	int client = links_open_far("10.2.0.9:0", "b1");

	snprintf(host, sizeof host, "%.*s", (int)(strrchr(address, ':') - address), address);
	ask(client, port, host, host, flags, "10.2.0.1");
	close(client);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(10);
	links_begin();
	for (uint32_t n_handlers = 0; n_handlers < 2; n_handlers++) {
		ask_in("0.0.0.0:0", n_handlers, "");
		ask_in("[::]:0", n_handlers, "::ffff:");
		ask_in6(n_handlers);
	}
	ask_bound("10.2.0.1:0", 0);
	ask_bound("10.2.0.255:0", VOLLEY_PACKET_BROADCAST);
	ask_bound("224.0.0.1:0", VOLLEY_PACKET_MULTICAST);
	holds = true;
	ask_in("0.0.0.0:0", 0, "");
	ask_in6(0);
	return check_done();
}
