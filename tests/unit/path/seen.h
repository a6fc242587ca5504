/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PATH_SEEN_H
#define TESTS_UNIT_PATH_SEEN_H

/* A callback that keeps what it was shown, on the scripted backend. */

#include <criterion/criterion.h>
#include <string.h>

#include "lib/fake_io.h"

#define ADDRESS "127.0.0.1:0"

/* What callbacks saw; a test has its own process. */
static struct {
	uint32_t n_calls;
	size_t n_of_call[64];
	uint32_t n_packets;
	struct volley_packet packets[2048];
	volley_batch_fn then;
} seen;

static inline void look(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	seen.n_of_call[seen.n_calls++] = n;
	memcpy(seen.packets + seen.n_packets, packets, n * sizeof *packets);
	seen.n_packets += (uint32_t)n;
	if (seen.then != NULL)
		seen.then(worker, packets, n, arg);
}

static inline void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(volley_packet_reply(&packets[i], packets[i].data, packets[i].len), 0);
}

static inline struct fake_server open_then(volley_batch_fn then)
{
	struct fake_server fake;

	seen.then = then;
	/* Each reply its own message, so that all leave in the order in which they were given. */
	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = look, .flags = VOLLEY_LISTEN_NO_COALESCE));
	return fake;
}

#endif
