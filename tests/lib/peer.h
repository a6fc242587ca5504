/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_PEER_H
#define TESTS_LIB_PEER_H

/*
 * For tests that let a server run on its own threads: one client socket, a callback that echoes,
 * and the combinations of wait strategy and backend.
 */

#include <volley/volley.h>

/* Every wait strategy with every backend. */
struct peer_way {
	uint32_t wait;
	const char *io;
};
#define PEER_N_WAYS 6
extern const struct peer_way peer_ways[PEER_N_WAYS];

/* A volley_batch_fn that echoes in place. */
void peer_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg);

/* A server of n workers that listens on 127.0.0.1; the address is where clients send. */
struct volley_server *peer_server(const struct volley_config *config, volley_batch_fn fn, void *arg,
				  struct volley_addr *ret_addr);

/* Send one datagram and get its echo; 0 when none came within a second. */
int peer_ask(int fd, const struct volley_addr *server, uint8_t tag);

#endif
