/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SEND_RECEIVERS_H
#define TESTS_SEND_RECEIVERS_H

/*
 * The destinations of a script: sockets on loopback, and what each of them got, in order. What left
 * from different addresses may overtake each other, so each of those has an inbox of its own.
 */

#include <stdint.h>

#include "send/script.h"

enum {
	RECEIVERS_N = 2 * SCRIPT_N_HEALTHY,
	RECEIVERS_N_SOURCES = 4, /* ::1 or 127.0.0.1 to 127.0.0.4 */
	RECEIVERS_N_INBOXES = RECEIVERS_N * RECEIVERS_N_SOURCES,
	RECEIVERS_MAX = 2048
};

/* One datagram: its length, and its payload as a hash. */
struct received {
	uint64_t len;
	uint64_t hash;
};

struct inbox {
	uint32_t n;
	struct received list[RECEIVERS_MAX];
};

struct inboxes {
	uint32_t n; /* of all */
	struct inbox of[RECEIVERS_N_INBOXES];
};

/* Open them and put their addresses into the world. Ends the process when the system fails it. */
void receivers_open(struct script_world *world);

void receivers_clear(struct inboxes *inboxes);

/*
 * Read on until there are `n` datagrams, or none came for a second; and whatever else is there.
 */
void receivers_read(struct inboxes *inboxes, uint32_t n);

/* Datagrams that the receivers' sockets had no room for: 0, or the test means nothing. */
uint64_t receivers_n_dropped(void);

/* The inbox of a destination, by the listener and the address that its datagrams leave from. */
uint32_t receivers_find(const struct volley_addr *peer, uint32_t listener,
			const struct volley_addr *local);

uint64_t receivers_hash(const uint8_t *data, uint32_t n);

#endif
