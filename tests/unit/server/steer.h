/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SERVER_STEER_H
#define TESTS_UNIT_SERVER_STEER_H

/* What the tests of steering share: a server that says which worker it was. */

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/listeners.h"
#include "lib/loopback.h"

enum { STEER_N_WORKERS = 4 };

static char steer_log[512];

static inline void steer_on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	strncpy(steer_log, text, sizeof steer_log - 1);
}

static inline void steer_tell(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	uint8_t index = (uint8_t)volley_worker_get_index(worker);

	(void)arg;
	volley_packet_reply(packet, &index, 1);
}

static inline struct volley_server *steer_new_server(uint32_t n_workers, uint32_t n_handlers)
{
	struct volley_server *server;

	steer_log[0] = '\0';
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = n_workers, .n_handlers = n_handlers,
						.log = steer_on_log),
				  &server) == 0);
	return server;
}

/* With what the config says of steering. */
static inline int steer_listen(struct volley_server *server, const char *address,
			       const struct volley_listen_config *config)
{
	struct volley_listen_config own = *config;

	own.on_packet = steer_tell;
	return volley_server_listen(server, address, &own, NULL);
}

static inline struct volley_server *steer_start(const char *address, uint32_t n_handlers,
						const struct volley_listen_config *config)
{
	struct volley_server *server = steer_new_server(STEER_N_WORKERS, n_handlers);

	REQUIRE(steer_listen(server, address, config) == 0);
	REQUIRE(volley_server_start(server) == 0);
	return server;
}

/* A new client's datagram: the worker that it came to, or -1. */
static inline int steer_ask(const struct volley_addr *to, const void *data, size_t len)
{
	bool is4 = to->sa.sa_family == AF_INET;
	int fd = loopback_open(is4 ? "0.0.0.0:0" : "[::1]:0", NULL);
	struct ip_mreqn by = { .imr_ifindex = (int)if_nametoindex("lo") };
	int on = 1;
	uint8_t index;
	int worker = -1;

	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0);
	if (is4)
		REQUIRE(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) == 0);
	REQUIRE(sendto(fd, data, len, 0, &to->sa, to->len) == (ssize_t)len);
	if (loopback_wait(fd) == 1 && recv(fd, &index, 1, MSG_DONTWAIT) == 1)
		worker = index;
	close(fd);
	return worker;
}

/* From eight clients, which a hash would hardly leave together. */
static inline void steer_expect(struct volley_server *server, const void *data, size_t len,
				uint32_t worker_index)
{
	for (int i = 0; i < 8; i++)
		CHECK_EQ(steer_ask(LISTENER_ADDR(server, 0), data, len), worker_index);
}

/* The kernel chooses: of so many clients no worker has none. */
static inline void steer_expect_spread(struct volley_server *server, const void *data, size_t len)
{
	uint32_t n[STEER_N_WORKERS] = { 0 };

	for (int i = 0; i < 96; i++) {
		int worker = steer_ask(LISTENER_ADDR(server, 0), data, len);

		if (CHECK(worker >= 0 && worker < STEER_N_WORKERS))
			n[worker]++;
	}
	for (uint32_t i = 0; i < STEER_N_WORKERS; i++)
		CHECK(n[i] > 0);
}

#endif
