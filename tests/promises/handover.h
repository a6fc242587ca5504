/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROMISES_HANDOVER_H
#define TESTS_PROMISES_HANDOVER_H

/*
 * Two servers of one process of which one hands over to the other. What they know of each other is
 * the conversation, so it is as with two processes.
 */

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "lib/giver.h"
#include "lib/listeners.h"
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
	struct volley_listener listener;
	struct volley_addr bound;

	if (addr != NULL)
		volley_addr_format(addr, text, sizeof text);
	REQUIRE(volley_server_listen(server, text, VOLLEY_LISTEN(.on_batch = echo), &listener) ==
		0);
	REQUIRE(volley_listener_get_addr(server, listener, &bound) == 0);
	return bound;
}

static inline struct volley_server *open_server(void)
{
	struct volley_server *server = NULL;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	return server;
}

static inline struct volley_server *open_old(struct volley_addr *ret_addr)
{
	struct volley_server *server = open_server();

	*ret_addr = listen_at(server, NULL);
	REQUIRE(volley_server_start(server) == 0);
	return server;
}

/* A new server reads an old one's sockets, which come by this descriptor. */
static inline struct volley_server *take(const struct volley_addr *addr, int fd)
{
	struct volley_server *server = open_server();

	REQUIRE(volley_server_import_fds(server, fd, PATIENCE_US, NULL, NULL) >= 1);
	listen_at(server, addr);
	REQUIRE(volley_server_start(server) == 0);
	return server;
}

/* The same in the conversation that begin() has opened. */
static inline struct volley_server *import(const struct volley_addr *addr)
{
	return take(addr, fds[1]);
}

/* Its words do not arrive, so it serves on. */
static inline void commit_in_doubt(struct volley_server *server)
{
	int dead[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, dead) == 0);
	close(dead[0]);
	CHECK_EQ(volley_server_import_commit(server, dead[1], PATIENCE_US), 0);
	close(dead[1]);
}

/* A new server with which the old one serves side by side from here on. */
static inline struct volley_server *serve_too(struct volley_server *old,
					      const struct volley_addr *addr)
{
	struct volley_server *new;
	struct giver giver;

	begin(&giver, old, 100000);
	new = import(addr);
	CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
	commit_in_doubt(new);
	close(fds[1]);
	return new;
}

/* And one that takes its place. */
static inline struct volley_server *replace(struct volley_server *old,
					    const struct volley_addr *addr)
{
	struct volley_server *new;
	struct giver giver;

	begin(&giver, old, PATIENCE_US);
	new = import(addr);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	close(fds[1]);
	return new;
}

static inline long get_missing(struct volley_server *server)
{
	static char text[1 << 18];
	const char *at;
	int n = volley_server_format_stats(server, text, sizeof text);

	REQUIRE(n > 0 && n < (int)sizeof text);
	at = strstr(text, "\"missing_books\": ");
	REQUIRE(at != NULL);
	return strtol(at + strlen("\"missing_books\": "), NULL, 10);
}

static inline uint64_t get_carried(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	CHECK_EQ(volley_server_get_carried_stats(server, &stats), 0);
	return stats.delivered;
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
