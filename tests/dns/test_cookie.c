/* SPDX-License-Identifier: MIT */

/* Server cookies: the examples of RFC 9018, appendix A, and what is taken and given when. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cookie.h"

static void read_hex(const char *text, uint8_t *bytes)
{
	for (; *text != '\0'; text += 2) {
		unsigned int byte;

		sscanf(text, "%2x", &byte);
		*bytes++ = (uint8_t)byte;
	}
}

static struct volley_addr make_peer(const char *text)
{
	struct volley_addr peer = { .len = sizeof peer.in };

	peer.in.sin_family = AF_INET;
	if (inet_pton(AF_INET, text, &peer.in.sin_addr) == 1)
		return peer;
	peer.in6.sin6_family = AF_INET6;
	inet_pton(AF_INET6, text, &peer.in6.sin6_addr);
	return peer;
}

static struct dns_cookies make_cookies(const char *secret)
{
	struct dns_cookies cookies = { .is_fixed = true };

	read_hex(secret, cookies.master);
	return cookies;
}

static void check(const char *secret, const char *address, const char *cookie, uint32_t now,
		  const char *want)
{
	struct dns_cookies cookies = make_cookies(secret);
	struct volley_addr peer = make_peer(address);
	struct dns_query query = { .n_cookie = (uint8_t)(strlen(cookie) / 2) };
	uint8_t expected[DNS_COOKIE_SERVER_BYTES];
	uint8_t server[DNS_COOKIE_SERVER_BYTES];

	read_hex(cookie, query.cookie);
	read_hex(want, expected);
	dns_cookies_answer(&cookies, &query, &peer, now, server);
	cr_expect_arr_eq(server, expected, sizeof server);
}

Test(cookie, rfc9018_a1_new)
{
	check("e5e973e5a6b2a43f48e7dc849e37bfcf", "198.51.100.100", "2464c4abcf10c957", 1559731985,
	      "010000005cf79f111f8130c3eee29480");
}

Test(cookie, rfc9018_a3_too_old_is_replaced)
{
	check("e5e973e5a6b2a43f48e7dc849e37bfcf", "203.0.113.203",
	      "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559734700,
	      "010000005cf7a9acf73a7810aca2381e");
}

Test(cookie, rfc9018_a4_ipv6)
{
	check("445536bcd2513298075a5d379663c962", "2001:db8:220:1:59de:d0f4:8769:82b8",
	      "22681ab97d52c298", 1559741961, "010000005cf7c609a6bb79d16625507a");
}

static bool answer(struct dns_cookies *cookies, struct dns_query *query, uint32_t now,
		   const char *address)
{
	struct volley_addr peer = make_peer(address);
	uint8_t server[DNS_COOKIE_SERVER_BYTES];
	bool good = dns_cookies_answer(cookies, query, &peer, now, server);

	memcpy(query->cookie + DNS_COOKIE_CLIENT_BYTES, server, sizeof server);
	return good;
}

Test(cookie, lives_an_hour_and_one_day_s_change)
{
	struct dns_cookies cookies = { .master = { 1, 2, 3 } };
	uint32_t midnight = 20000 * 86400;
	struct dns_query query = { .n_cookie = 8, .cookie = "client" };
	struct dns_query copy;

	cr_expect_not(answer(&cookies, &query, midnight - 1000, "192.0.2.1"));
	query.n_cookie = 24;
	copy = query;
	cr_expect(answer(&cookies, &copy, midnight + 500, "192.0.2.1"));
	cr_expect_arr_eq(copy.cookie, query.cookie, 24, "good for half an hour");
	copy = query;
	cr_expect(answer(&cookies, &copy, midnight + 1000, "192.0.2.1"));
	cr_expect_arr_neq(copy.cookie, query.cookie, 24, "then replaced");
	copy = query;
	cr_expect_not(answer(&cookies, &copy, midnight + 2601, "192.0.2.1"), "too old");
	copy = query;
	cr_expect_not(answer(&cookies, &copy, midnight - 1400, "192.0.2.1"), "from the future");
	copy = query;
	cr_expect_not(answer(&cookies, &copy, midnight, "192.0.2.2"), "another client's");
}
