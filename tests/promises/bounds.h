/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROMISES_BOUNDS_H
#define TESTS_PROMISES_BOUNDS_H

/* What the programs about bounds in time share: slow callbacks, full sockets, and a clock. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "promise.h"

/* A bound is met when it is over by no more than this: the machine is shared. */
enum { BOUNDS_SLACK_MS = 100 };

/* How long bounds_on_packet() takes, and how often it was called. */
static atomic_uint bounds_callback_us;
static atomic_uint bounds_n_calls;

static inline double bounds_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* For callbacks that are slow, not to wait for anything. */
static inline void bounds_be_slow(unsigned int us)
{
	const struct timespec nap = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

	if (us > 0)
		nanosleep(&nap, NULL);
}

static inline void bounds_on_packet(struct volley_worker *worker, struct volley_packet *packet,
				    void *arg)
{
	(void)worker, (void)packet, (void)arg;
	atomic_fetch_add(&bounds_n_calls, 1);
	bounds_be_slow(atomic_load(&bounds_callback_us));
}

static inline void bounds_await_calls(unsigned int n)
{
	while (atomic_load(&bounds_n_calls) < n)
		sched_yield();
}

/* One more listener with this callback, and n datagrams that wait for it. */
static inline struct volley_addr
bounds_listen(struct volley_server *server, const struct volley_listen_config *config, uint32_t n)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct volley_listener listener;
	struct volley_addr addr;

	REQUIRE(volley_server_listen(server, "127.0.0.1:0", config, &listener) == 0);
	REQUIRE(volley_listener_get_addr(server, listener, &addr) == 0);
	for (uint32_t i = 0; i < n; i++)
		REQUIRE(sendto(fd, "x", 1, 0, &addr.sa, addr.len) == 1);
	close(fd);
	return addr;
}

/* A server with n_each datagrams waiting at each of its listeners, and callbacks that are slow. */
static inline struct volley_server *bounds_open(const struct volley_config *config,
						uint32_t n_listeners, uint32_t n_each,
						unsigned int callback_us)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(config, &server) == 0);
	for (uint32_t i = 0; i < n_listeners; i++)
		bounds_listen(server, VOLLEY_LISTEN(.on_packet = bounds_on_packet), n_each);
	atomic_store(&bounds_callback_us, callback_us);
	atomic_store(&bounds_n_calls, 0);
	return server;
}

static inline struct volley_stats bounds_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	CHECK(volley_server_get_stats(server, &stats) == 0);
	return stats;
}

/* It began then, and may have taken so long. */
#define BOUNDS_CHECK(begin_ms, max_ms)                                                      \
	do {                                                                                \
		double took_ms = bounds_now_ms() - (begin_ms);                              \
                                                                                            \
		if (!CHECK(took_ms < (max_ms) + BOUNDS_SLACK_MS))                           \
			fprintf(stderr, "\tline %d: took %.0f ms, may take %d\n", __LINE__, \
				took_ms, (int)(max_ms));                                    \
	} while (0)

#endif
