/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_QUERY_H
#define EXAMPLES_DNS_QUERY_H

/* A request as the wire has it, taken apart in one pass that ends soon for any input. */

#include "name.h"

enum {
	DNS_COOKIE_CLIENT_BYTES = 8,
	DNS_COOKIE_SERVER_BYTES = 16, /* ours, RFC 9018 */
	DNS_COOKIE_MAX_BYTES = 40,    /* any server's, RFC 7873 */
};

/* What is to be done with a request. */
enum dns_verdict {
	DNS_VERDICT_DROP = 0, /* a response, or no header: silence, or two servers talk for ever */
	DNS_VERDICT_ERROR,    /* answer with `rcode` and the header alone */
	DNS_VERDICT_REFUSE,   /* answer with `rcode`, the question and EDNS */
	DNS_VERDICT_LOOK_UP,  /* a question that zones can answer */
};

struct dns_query {
	enum dns_verdict verdict;
	uint16_t rcode;
	uint16_t flags; /* the second word of its header */
	uint16_t type;
	uint16_t class;
	uint16_t question_end; /* where the answer begins: 12 without a question */
	uint16_t edns_bytes;   /* the datagram that the client takes; 0 without EDNS */
	bool do_bit;
	bool wants_nsid;
	uint8_t n_cookie; /* 0, 8, or 16 to 40 */
	uint8_t cookie[DNS_COOKIE_MAX_BYTES];
	uint16_t tsig_at; /* where a TSIG record begins and ends; 0 without one */
	uint16_t tsig_end;
	struct dns_name name; /* set when the question was read */
};

void dns_query_parse(struct dns_query *query, const uint8_t *packet, size_t n,
		     const struct dns_hash_key *key);

#endif
