/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SEND_SCRIPT_H
#define TESTS_SEND_SCRIPT_H

/*
 * A random script of sends: volleys of bursts, a burst being one or more datagrams to one
 * destination. The same seed gives the same script.
 */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

enum {
	SCRIPT_N_HEALTHY = 8,     /* receivers per family */
	SCRIPT_N_LISTENERS = 3,   /* 127.0.0.2, [::1], 0.0.0.0 */
	SCRIPT_MIN_SENDS = 200,   /* of a script */
	SCRIPT_MAX_VOLLEYS = 400, /* of one burst of one datagram, at worst, and then some */
	SCRIPT_MAX_BURSTS = 32,   /* of a volley */
	SCRIPT_MAX_BYTES = 65535, /* of a burst */
};

/* How the callback hands its reply over. */
enum script_how { SCRIPT_IN_PLACE = 0, SCRIPT_COPY, SCRIPT_ROOM, SCRIPT_N_HOWS };

struct script_burst {
	const struct volley_addr *peer;
	struct volley_addr local; /* len 0: the socket's own */
	bool bad;                 /* cannot be delivered */
	uint32_t n_bytes;         /* of all datagrams; SEGMENT each, the last the rest */
	uint32_t segment_bytes;   /* n_bytes for a single one */
	uint32_t fill;            /* of the payload */
	enum script_how how;
};

struct script_volley {
	uint32_t listener;
	uint32_t n_bursts;
	struct script_burst bursts[SCRIPT_MAX_BURSTS];
};

struct script {
	uint32_t n_volleys;
	uint32_t n_sends;
	uint32_t n_bad;
	struct script_volley volleys[SCRIPT_MAX_VOLLEYS];
};

/* Where scripts can send to. */
struct script_world {
	struct volley_addr healthy[2][SCRIPT_N_HEALTHY]; /* by IPv6 */
	struct volley_addr own[SCRIPT_N_LISTENERS];      /* the server's: refused */
	bool slow;                                       /* no large datagrams, no bad ones */
};

void script_make(struct script *script, const struct script_world *world, uint64_t seed);

/* The routes and firewall rules that make bad destinations bad. False where that cannot be. */
bool script_prepare_network(void);

/* How many datagrams a burst is, and the length and place of one of them. */
uint32_t script_count(const struct script_burst *burst);
uint32_t script_len(const struct script_burst *burst, uint32_t i);

/* The payload of a whole burst, datagram behind datagram. */
void script_fill(const struct script_burst *burst, uint8_t *data);

#endif
