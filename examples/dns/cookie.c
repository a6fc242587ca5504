/* SPDX-License-Identifier: MIT */

/*
 * Server cookies prove that a client receives what is sent to its address. Ours are those of RFC
 * 9018: version 1, three reserved bytes, a timestamp, and SipHash-2-4 of all that with the client's
 * cookie and address.
 *
 * The secret is of the day that the timestamp is in, derived from a master key. So it changes by
 * itself, yesterday's cookies stay good for their hour, and no reader shares state with another. A
 * fixed secret, for a set of servers that must agree, is used as it is.
 */

#include "cookie.h"

#include <string.h>

#include "wire.h"

enum {
	DAY = 86400,
	OLD_AFTER = 1800, /* seconds: then a new one is given, RFC 9018, 4.3 */
	BAD_AFTER = 3600,
	AHEAD_AT_MOST = 300,
};

static const uint8_t *get_secret(struct dns_cookies *cookies, uint32_t day)
{
	uint8_t block[8] = { 'd', 'a', 'y', 0 };

	if (cookies->is_fixed)
		return cookies->master;
	if (cookies->day == day)
		return cookies->secret;
	dns_put32(block + 4, day);
	for (size_t half = 0; half < 2; half++) {
		uint64_t word;

		block[3] = (uint8_t)half;
		word = siphash(cookies->master, block, sizeof block);
		memcpy(cookies->secret + 8 * half, &word, sizeof word);
	}
	cookies->day = day;
	return cookies->secret;
}

static void sign(struct dns_cookies *cookies, const uint8_t *client, const struct volley_addr *peer,
		 uint32_t when, uint8_t *ret_server)
{
	uint8_t block[16 + 16];
	size_t n = 16;
	uint64_t hash;

	memcpy(block, client, DNS_COOKIE_CLIENT_BYTES);
	dns_put32(block + 8, UINT32_C(1) << 24);
	dns_put32(block + 12, when);
	if (peer->sa.sa_family == AF_INET) {
		memcpy(block + n, &peer->in.sin_addr, 4);
		n += 4;
	} else {
		memcpy(block + n, &peer->in6.sin6_addr, 16);
		n += 16;
	}
	hash = siphash(get_secret(cookies, when / DAY), block, n);
	memcpy(ret_server, block + 8, 8);
	for (size_t i = 0; i < 8; i++) /* the reference prints the hash lowest byte first */
		ret_server[8 + i] = (uint8_t)(hash >> (8 * i));
}

bool dns_cookies_answer(struct dns_cookies *cookies, const struct dns_query *query,
			const struct volley_addr *peer, uint32_t now, uint8_t *ret_server)
{
	const uint8_t *theirs = query->cookie + DNS_COOKIE_CLIENT_BYTES;
	uint32_t when = dns_get32(theirs + 4);
	int32_t age = (int32_t)(now - when); /* serial arithmetic, as RFC 9018 says */
	bool is_good = query->n_cookie == DNS_COOKIE_CLIENT_BYTES + DNS_COOKIE_SERVER_BYTES &&
		       theirs[0] == 1 && age <= BAD_AFTER && age >= -AHEAD_AT_MOST;

	if (is_good) {
		sign(cookies, query->cookie, peer, when, ret_server);
		is_good = memcmp(ret_server, theirs, DNS_COOKIE_SERVER_BYTES) == 0;
	}
	if (!is_good || age > OLD_AFTER)
		sign(cookies, query->cookie, peer, now, ret_server);
	return is_good;
}
