/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_ANSWER_H
#define EXAMPLES_DNS_ANSWER_H

/* From a parsed request to the bytes of its answer. */

#include "catalog.h"
#include "cookie.h"
#include "query.h"

/*
 * EDNS(0) in answers: what we take and give over UDP without asking for fragments (DNS flag day
 * 2020); what an answer may need beside its records: OPT, a server identifier, a cookie, TSIG.
 */
enum { DNS_UDP_BYTES = 1232, DNS_MAX_ID = 64 };

/* What one thread answers with. Only that thread uses it. */
struct dns_responder {
	const struct dns_catalog *catalog;
	struct dns_hash_key key; /* the one that the zones were loaded with */
	struct dns_cookies cookies;
	uint32_t now;        /* seconds since 1970 */
	const char *id;      /* NSID and id.server, at most DNS_MAX_ID bytes, or NULL */
	const char *version; /* version.bind, or NULL */
};

/* A request as it came. */
struct dns_request {
	const struct dns_query *query;
	const struct dns_zone *zone; /* dns_answer_find_zone() */
	const uint8_t *packet;
	const struct volley_addr *peer;
};

/* What became of it. */
struct dns_answer {
	uint16_t rcode;
	bool is_truncated;
	bool has_good_cookie;
	uint32_t kind; /* the same for alike answers, for rate limiting */
};

/* Answer from this catalog, which stays the caller's. */
void dns_answer_set_catalog(struct dns_responder *responder, const struct dns_catalog *catalog);

/* The zone that dns_answer() will look into, or NULL. Call it first. */
const struct dns_zone *dns_answer_find_zone(const struct dns_responder *responder,
					    const struct dns_query *query);

/*
 * Write the answer to a query whose verdict is not DROP. `out` may be the packet itself, and has
 * room for `limit` bytes: dns_answer_limit(), or DNS_MAX_MESSAGE over TCP. Returns its length.
 */
size_t dns_answer(struct dns_responder *responder, const struct dns_request *request, uint8_t *out,
		  size_t limit, struct dns_answer *ret_answer);

/* How long the answer over UDP may be: at least the question fits. */
size_t dns_answer_limit(const struct dns_query *query);

/* Turn an answer into an empty truncated one; its new length. */
size_t dns_answer_slip(const struct dns_query *query, uint8_t *out);

#endif
