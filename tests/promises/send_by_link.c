/* SPDX-License-Identifier: MIT */

/*
 * What is sent by an interface leaves from the listener's address all the same. The kernel would
 * choose one of that interface's: 127.0.0.1 for one that listens on 127.0.0.2.
 */

#include <net/if.h>

#include <volley/send.h>

#include "sending.h"

enum { N_SENDS = 4 };

static const struct volley_send_options *by_link(void)
{
	static struct volley_send_options options;

	volley_send_options_init(&options, sizeof options);
	options.interface_index = if_nametoindex("lo");
	return &options;
}

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_server *server = volley_worker_get_server(worker);
	struct volley_held held;

	(void)arg;
	CHECK_EQ(volley_packet_reply_with(packet, "x", 1, by_link()), 0);
	CHECK_EQ(volley_packet_hold(packet, &held), 0);
	CHECK_EQ(volley_held_reply_with(server, held, "x", 1, by_link()), 0);
	CHECK_EQ(volley_worker_send(worker, packet->listener, packet->peer, "x", 1, by_link()), 0);
	CHECK_EQ(volley_server_send(server, packet->listener, packet->peer, "x", 1, by_link()), 0);
}

static void try(uint32_t n_handlers)
{
	const struct volley_config *config = VOLLEY_CONFIG(.n_workers = 1,
							   .n_handlers = n_handlers);
	struct volley_server *server;
	struct volley_addr peer, own;
	int fd = receiver_open(&peer);

	REQUIRE(volley_server_new(config, &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.2:0", VOLLEY_LISTEN(.on_packet = on_packet),
				     NULL) == 0);
	own = listener_addr(server, 0);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(sendto(fd, "x", 1, 0, &own.sa, own.len) == 1);
	for (int i = 0; i < N_SENDS; i++) {
		struct volley_addr from = { .len = sizeof from.in };
		struct pollfd pollfd = { .fd = fd, .events = POLLIN };
		char byte;

		REQUIRE(poll(&pollfd, 1, 5000) == 1);
		REQUIRE(recvfrom(fd, &byte, 1, 0, &from.sa, &from.len) == 1);
		CHECK(volley_addr_is_equal(&from, &own));
	}
	volley_server_free(server);
	close(fd);
}

int main(void)
{
	promise_begin(30);
	try(0);
	try(1);
	return check_done();
}
