/* SPDX-License-Identifier: MIT */

/*
 * forward ADDR:PORT UPSTREAM:PORT: pass requests on to another server and its replies back to the
 * clients, for protocols whose messages start with a 16-bit ID that replies repeat, as DNS does.
 * Each request is held until its reply comes or two seconds are over. SIGTERM or SIGINT ends it:
 * clients are refused at once, the upstream is heard until nobody waits for a reply any more, and
 * the ledger is printed. held_expired are requests that got no reply. A second signal ends it at
 * once; held_abandoned are those that still waited then.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <volley/volley.h>

#include "common/start.h"

/* A drain takes as long as the last request may be held, and a little. */
enum {
	HOLD_US = 2000000,
	DRAIN_US = HOLD_US + 100000,
	MAX_BYTES = 4096,
	ID_BYTES = 2,
	N_TRIES = 8
};

/* By the ID that the upstream sees. One worker, so only one thread is here. */
struct pending {
	struct volley_held held;
	uint8_t id[ID_BYTES]; /* the client's */
};

struct forwarder {
	struct volley_listener clients;
	struct volley_listener sender; /* to the upstream */
	struct volley_addr upstream;
	struct pending pending[1 << 16];
};

/* IDs are drawn, so that nobody can guess one and forge a reply. */
static struct pending *draw_id(struct forwarder *forwarder, struct volley_server *server)
{
	for (int i = 0; i < N_TRIES; i++) {
		struct pending *pending = &forwarder->pending[arc4random_uniform(1 << 16)];

		if (volley_held_get_payload(server, pending->held, NULL, 0) < 0)
			return pending; /* its token is stale: nobody waits under this ID */
	}
	return NULL;
}

static void on_request(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_server *server = volley_worker_get_server(worker);
	struct forwarder *forwarder = arg;
	struct pending *pending = draw_id(forwarder, server);
	uint8_t request[MAX_BYTES];
	size_t id;

	if (pending == NULL || packet->len < ID_BYTES || packet->len > sizeof request ||
	    volley_packet_hold(packet, &pending->held) < 0)
		return; /* the client asks again */
	id = (size_t)(pending - forwarder->pending);
	memcpy(pending->id, packet->data, ID_BYTES);
	memcpy(request, packet->data, packet->len);
	request[0] = (uint8_t)(id >> 8);
	request[1] = (uint8_t)id;
	if (volley_worker_send(worker, forwarder->sender, &forwarder->upstream, request,
			       packet->len, NULL) < 0)
		volley_held_release(server, pending->held);
}

static void on_reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct forwarder *forwarder = arg;
	struct pending *pending;

	if (packet->len < ID_BYTES || !volley_addr_is_equal(packet->peer, &forwarder->upstream))
		return; /* not from the upstream */
	pending = &forwarder->pending[packet->data[0] << 8 | packet->data[1]];
	memcpy(packet->data, pending->id, ID_BYTES);
	/* -ESTALE: it came too late, or twice. */
	volley_held_reply(volley_worker_get_server(worker), pending->held, packet->data,
			  packet->len);
}

/* As the worker starts: from here on SIGTERM is taken by volley_server_run(). */
static int say_ready(struct volley_worker *worker, void *arg)
{
	struct volley_server *server = volley_worker_get_server(worker);
	const struct forwarder *forwarder = arg;
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr addr;

	volley_listener_get_addr(server, forwarder->clients, &addr);
	volley_addr_format(&addr, text, sizeof text);
	fprintf(stderr, "forward: ready on %s\n", text);
	return 0;
}

static int serve(struct volley_server *server, const char *address, struct forwarder *forwarder)
{
	static char text[1 << 16];
	bool ipv6 = forwarder->upstream.sa.sa_family == AF_INET6;
	int r;

	r = volley_server_listen(server, address,
				 VOLLEY_LISTEN(.on_packet = on_request, .arg = forwarder),
				 &forwarder->clients);
	if (r >= 0)
		r = volley_server_listen(server, ipv6 ? "[::]:0" : "0.0.0.0:0",
					 VOLLEY_LISTEN(.on_packet = on_reply,
						       .flags = VOLLEY_LISTEN_DRAIN_LAST,
						       .arg = forwarder),
					 &forwarder->sender);
	if (r >= 0)
		r = volley_server_run(server);
	if (r < 0)
		return r;
	if (volley_server_format_stats(server, text, sizeof text) > 0)
		fputs(text, stdout);
	return r;
}

int main(int argc, char **argv)
{
	static struct forwarder forwarder;
	struct volley_server *server = NULL;
	int r;

	/* A group's members reply from addresses of their own. */
	if (argc != 3 || volley_addr_parse(argv[2], &forwarder.upstream) < 0 ||
	    volley_addr_is_multicast(&forwarder.upstream)) {
		fprintf(stderr, "usage: forward ADDR:PORT UPSTREAM:PORT\n");
		return 2;
	}
	start_program();
	r = volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_held = 1 << 15, .hold_us = HOLD_US,
					    .drain_us = DRAIN_US, .on_start = say_ready,
					    .log = volley_log_stderr, .arg = &forwarder),
			      &server);
	if (r >= 0)
		r = serve(server, argv[1], &forwarder);
	volley_server_free(server);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
