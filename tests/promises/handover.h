/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROMISES_HANDOVER_H
#define TESTS_PROMISES_HANDOVER_H

/*
 * Two servers of one process of which one hands over to the other. What they know of each other is
 * the conversation, so it is as with two processes.
 */

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "lib/giver.h"
#include "sending.h"

enum { PATIENCE_US = 5000000, REPLY_MS = 2000 };

static int fds[2]; /* the old server's end, the new one's */

static inline void begin(struct giver *giver, struct volley_server *server, uint32_t timeout_us)
{
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
	giver_start(giver, server, fds[0], timeout_us, true);
}

static inline struct volley_addr listen_at(struct volley_server *server,
					   const struct volley_addr *addr)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "127.0.0.1:0";
	int r;

	if (addr != NULL)
		volley_addr_format(addr, text, sizeof text);
	r = volley_server_listen(server, text, VOLLEY_LISTEN(.on_batch = echo));
	REQUIRE(r >= 0);
	return *volley_listener_get_addr(volley_server_get_listener(server, (uint32_t)r));
}

static inline struct volley_server *open_server(void)
{
	struct volley_server *server = NULL;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	return server;
}

/* The new server reads the old one's sockets. */
static inline struct volley_server *import(const struct volley_addr *addr)
{
	struct volley_server *server = open_server();

	REQUIRE(volley_server_import_fds(server, fds[1], PATIENCE_US) == 1);
	listen_at(server, addr);
	REQUIRE(volley_server_start(server) == 0);
	return server;
}

static inline bool is_replied_to(const struct volley_addr *to)
{
	struct pollfd fd = { .events = POLLIN };

	fd.fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(sendto(fd.fd, "x", 1, 0, &to->sa, to->len) == 1);
	poll(&fd, 1, REPLY_MS);
	close(fd.fd);
	return fd.revents & POLLIN;
}

#endif
