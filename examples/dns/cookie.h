/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_COOKIE_H
#define EXAMPLES_DNS_COOKIE_H

/* DNS cookies: RFC 7873, with the server cookies of RFC 9018. */

#include <stdbool.h>
#include <volley/addr.h>

#include "query.h"
#include "siphash.h"

/* One per reader: it remembers the secret of the day. */
struct dns_cookies {
	uint8_t master[SIPHASH_KEY_BYTES];
	uint8_t secret[SIPHASH_KEY_BYTES];
	uint32_t day;  /* that `secret` is for */
	bool is_fixed; /* `master` is the secret: shared with other servers */
};

/*
 * Fill ret_server (DNS_COOKIE_SERVER_BYTES) with the server cookie for a query that has one, at
 * time `now` (seconds since 1970). Whether the query's own server cookie was good.
 */
bool dns_cookies_answer(struct dns_cookies *cookies, const struct dns_query *query,
			const struct volley_addr *peer, uint32_t now, uint8_t *ret_server);

#endif
