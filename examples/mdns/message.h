/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_MDNS_MESSAGE_H
#define EXAMPLES_MDNS_MESSAGE_H

/* Messages about one host name: what is asked or said of it, and what it has. */

#include <arpa/nameser.h>
#include <ifaddrs.h>
#include <stdbool.h>
#include <stdint.h>

/* What one asks for: addresses, or what no host here has. */
#define WANTS_A     1u
#define WANTS_AAAA  2u
#define WANTS_OTHER 4u

enum { TTL = 120, LEGACY_TTL = 10 }; /* seconds: RFC 6762, sections 10 and 6.7 */

struct host {
	char name[NS_MAXDNAME];
	uint8_t wire[NS_MAXCDNAME];
	size_t wire_len;
};

/* One that is written: begun with all zero but for these, up to `is_legacy`. */
struct message {
	const struct host *host;
	const char *link;            /* on which it is told what there is */
	const struct ifaddrs *addrs; /* of all links */
	uint32_t ttl;
	bool is_legacy; /* for a resolver that knows nothing of caches that are to be flushed */
	size_t len;
	uint8_t data[1400]; /* an Ethernet frame */
};

/* A query for the host. */
struct question {
	unsigned int wants;   /* 0: it is not about the host */
	uint16_t type, class; /* of the first, as it stands there */
	bool wants_unicast;   /* all of them do */
	bool is_probe;
};

/* False where it is not about the host, or makes no sense. */
bool message_read_question(ns_msg *query, const struct host *host, struct question *ret_question);

/* Whether it has an address for the host's name that this machine has not. */
bool message_has_conflict(ns_msg *response, const struct host *host);

/* A question that has been asked, or, with the addresses that the host means to have, a probe. */
void message_put_question(struct message *message, uint16_t type, uint16_t class);
void message_put_claim(struct message *message);

/*
 * The host's addresses on the link that are wanted and not known to the querier (NULL: nothing is),
 * the others for company, and what there is none of. False where nothing is left to say.
 */
bool message_put_host(struct message *message, unsigned int wants, ns_msg *query);

#endif
