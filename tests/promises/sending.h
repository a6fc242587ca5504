/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROMISES_SENDING_H
#define TESTS_PROMISES_SENDING_H

/* Somebody who gets datagrams, and what the books say of those that were sent. */

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "promise.h"

/* A socket on 127.0.0.1. */
static inline int receiver_open(struct volley_addr *ret_addr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n_bytes = 4 << 20;
	socklen_t len = sizeof ret_addr->in;

	memset(ret_addr, 0, sizeof *ret_addr);
	ret_addr->len = sizeof ret_addr->in;
	ret_addr->in.sin_family = AF_INET;
	ret_addr->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE(fd >= 0 && bind(fd, &ret_addr->sa, ret_addr->len) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n_bytes, sizeof n_bytes);
	REQUIRE(getsockname(fd, &ret_addr->sa, &len) == 0);
	return fd;
}

/* The next datagram's length; -1: none came within so many milliseconds. */
static inline ssize_t receiver_take(int fd, void *buf, size_t n, int timeout_ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, timeout_ms) == 1 ? recv(fd, buf, n, MSG_DONTWAIT) : -1;
}

/* Whether the next one is this text. */
static inline bool receiver_expect(int fd, const char *text)
{
	char buf[64];
	ssize_t n = receiver_take(fd, buf, sizeof buf, 1000);

	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static inline struct volley_stats get_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	REQUIRE(volley_server_get_stats(server, &stats) == 0);
	return stats;
}

static inline uint64_t count_dropped(const struct volley_stats *stats)
{
	uint64_t n = 0;

	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++)
		n += stats->tx_dropped[i];
	return n;
}

/* Every datagram that was to be sent has one name. */
static inline bool is_balanced(struct volley_server *server)
{
	struct volley_stats stats = get_stats(server);

	return stats.tx_requested == stats.tx_sent + stats.tx_queued + count_dropped(&stats);
}

static inline void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

/* A server with one worker and one listener on 127.0.0.1. */
static inline struct volley_server *server_open(const struct volley_config *config)
{
	struct volley_server *server = NULL;

	REQUIRE(volley_server_new(config, &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo),
				     NULL) == 0);
	return server;
}

/* Try it with each wait strategy, and with a base of the user's; with this receiver. */
static inline void for_each_wait(const struct volley_config *more,
				 void (*try)(const struct volley_config *config, int receiver),
				 int receiver)
{
	static const uint32_t waits[] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_BLOCK, VOLLEY_WAIT_SPIN,
					  VOLLEY_WAIT_FD };
	struct volley_config config = *more;

	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
		config.wait = waits[i];
		try(&config, receiver);
	}
	config.wait = VOLLEY_WAIT_EVENT;
	config.event_base = event_base_new();
	try(&config, receiver);
	event_base_free(config.event_base);
}

/* A post that has nothing to do. */
static inline void nothing(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
}

/* The same text to one peer. */
static inline int say(struct volley_worker *worker, const struct volley_addr *peer,
		      const char *text)
{
	return volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0), peer,
				  text, strlen(text), NULL);
}

#endif
