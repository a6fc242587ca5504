/* SPDX-License-Identifier: MIT */

/*
 * A server may send to broadcast addresses when it is told to, as DHCP needs it: to all, and to a
 * subnet; by the link that the request came by. When it is not told to, the books say EACCES and
 * the log says what to do.
 */

#include <volley/volley.h>

#include "lib/listeners.h"
#include "links.h"

#ifdef VOLLEY_LISTEN_BROADCAST
#define MAY_BROADCAST VOLLEY_LISTEN_BROADCAST
#else
#define MAY_BROADCAST 0u
#endif

static const char *whom; /* the reply's address */
static unsigned int n_sentences;

static void offer(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr to;

	(void)arg;
	snprintf(text, sizeof text, "%s:%u", whom, volley_addr_get_port(packet->peer));
	to = links_addr(text);
	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0), &to,
				    "offer", 5, VOLLEY_SEND(.local = packet->local)),
		 0);
}

static void look(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_WARNING && strstr(text, "VOLLEY_LISTEN_BROADCAST") != NULL)
		n_sentences++;
}

/* Ask by both links; how many replies came, each by its own link. */
static unsigned int ask(const char *address, const char *host, uint32_t flags, uint64_t n_refused)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *server;
	unsigned int n = 0;
	uint16_t port;

	whom = host;
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = look), &server) == 0);
	REQUIRE(volley_server_listen(server, address,
				     VOLLEY_LISTEN(.on_packet = offer, .flags = flags), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	port = volley_addr_get_port(LISTENER_ADDR(server, 0));
	for (int link = 0; link < 2; link++) {
		/* Bound to the wildcard, for it has no address yet; and to the device, as there. */
		const char *device = link == 0 ? "b0" : "b1";
		int client = links_open_far("0.0.0.0:0", device);
		char buf[8];

		REQUIRE(setsockopt(client, SOL_SOCKET, SO_BINDTODEVICE, device, 3) == 0);
		for (int i = 0; i < 2; i++)
			links_send(client, "255.255.255.255", port, "discover", 8);
		for (int i = 0; i < 2 && n_refused == 0; i++)
			n += links_recv(client, buf, sizeof buf, NULL, 1000) == 5;
		if (n_refused > 0) /* and nothing else */
			CHECK_EQ(links_recv(client, buf, sizeof buf, NULL, 100), -1);
		close(client);
	}
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_EACCES], n_refused);
	CHECK_EQ(volley_server_free(server), 0);
	return n;
}

int main(void)
{
	promise_begin(15);
	links_begin();
	CHECK_EQ(ask("0.0.0.0:0", "255.255.255.255", MAY_BROADCAST, 0), 4);
	CHECK_EQ(ask("[::]:0", "255.255.255.255", MAY_BROADCAST, 0), 4);
	CHECK_EQ(ask("0.0.0.0:0", "10.1.0.255", MAY_BROADCAST, 0), 2);
	CHECK_EQ(n_sentences, 0);
	CHECK_EQ(ask("0.0.0.0:0", "255.255.255.255", 0, 4), 0);
	CHECK_EQ(n_sentences, 1); /* of the first socket, which serves broadcasts */
	return check_done();
}
