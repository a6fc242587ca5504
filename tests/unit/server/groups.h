/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SERVER_GROUPS_H
#define TESTS_UNIT_SERVER_GROUPS_H

/* What the tests of groups share: a server that counts what was sent to one. */

#include <stdatomic.h>
#include <string.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/listeners.h"

static atomic_uint n_heard;
static char last_log[512];
static char all_log[8192]; /* since the server was made, a line each */

static inline void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	strncpy(last_log, text, sizeof last_log - 1);
	strncat(all_log, text, sizeof all_log - strlen(all_log) - 1);
}

/* What was sent to a group is counted, all else is replied to. */
static inline void listen_to(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	if (packet->flags & VOLLEY_PACKET_MULTICAST)
		atomic_fetch_add(&n_heard, 1);
	else
		volley_packet_reply(packet, packet->data, packet->len);
}

/* With a scope, which loopback_addr() has not. */
static struct volley_addr get_addr(const char *text)
{
	struct volley_addr addr = { .len = 0 };

	REQUIRE(volley_addr_parse(text, &addr) == 0);
	return addr;
}

static struct volley_listener listen_at(struct volley_server *server, const char *address,
					uint32_t flags)
{
	struct volley_listener listener;

	REQUIRE(volley_server_listen(server, address,
				     VOLLEY_LISTEN(.on_packet = listen_to, .flags = flags),
				     &listener) == 0);
	return listener;
}

/* With a listener at `address`, unless that is NULL. */
static struct volley_server *new_server(uint32_t n_workers, const char *address)
{
	struct volley_server *server;

	atomic_store(&n_heard, 0);
	all_log[0] = '\0';
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = n_workers, .log = on_log), &server) ==
		0);
	if (address != NULL)
		listen_at(server, address, 0);
	return server;
}

/* `source` may be NULL. Whatever the log says then is about it. */
static struct volley_group make_group(const char *group, const char *source, const char *interface)
{
	struct volley_group made = { .size = sizeof made, .interface = interface };

	last_log[0] = '\0';
	made.group = get_addr(group);
	if (source != NULL)
		made.source = get_addr(source);
	return made;
}

static inline int join(struct volley_server *server, const char *group, const char *source,
		       const char *interface)
{
	struct volley_group made = make_group(group, source, interface);

	return volley_listener_join(server, listener_at(server, 0), &made);
}

static inline int leave(struct volley_server *server, const char *group, const char *source,
			const char *interface)
{
	struct volley_group made = make_group(group, source, interface);

	return volley_listener_leave(server, listener_at(server, 0), &made);
}

#endif
