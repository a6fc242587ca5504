/* SPDX-License-Identifier: MIT */

/* Rate limiting: the rate, slip, networks, kinds, and the end of a flood. */

#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "rrl.h"

static const uint8_t key[16] = { 7 };

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

/* How many of n answers are sent whole; *slipped of them empty. */
static unsigned int ask(struct dns_rrl *rrl, const char *address, unsigned int n, uint32_t kind,
			uint32_t now, unsigned int *slipped)
{
	struct volley_addr peer = make_peer(address);
	unsigned int n_sent = 0;

	*slipped = 0;
	while (n-- > 0) {
		enum dns_rrl_verdict verdict = dns_rrl_check(rrl, &peer, kind, now);

		n_sent += verdict == DNS_RRL_SEND;
		*slipped += verdict == DNS_RRL_SLIP;
	}
	return n_sent;
}

Test(rrl, limits_a_network_and_a_kind)
{
	struct dns_rrl *rrl = dns_rrl_new(10, 4, key);
	unsigned int slipped;

	cr_expect_eq(ask(rrl, "192.0.2.1", 110, 1, 1000, &slipped), 10);
	cr_expect_eq(slipped, 25);
	cr_expect_eq(ask(rrl, "192.0.2.200", 5, 1, 1000, &slipped), 0, "the same /24");
	cr_expect_eq(ask(rrl, "192.0.3.1", 5, 1, 1000, &slipped), 5, "another");
	cr_expect_eq(ask(rrl, "::ffff:192.0.2.9", 5, 1, 1000, &slipped), 0, "the same, mapped");
	cr_expect_eq(ask(rrl, "192.0.2.1", 5, 2, 1000, &slipped), 5, "other answers");
	cr_expect_eq(ask(rrl, "2001:db8:0:1::1", 20, 1, 1000, &slipped), 10);
	cr_expect_eq(ask(rrl, "2001:db8:0:ff::1", 5, 1, 1000, &slipped), 0, "the same /56");
	cr_expect_eq(ask(rrl, "2001:db8:0:100::1", 5, 1, 1000, &slipped), 5, "another");
	dns_rrl_free(rrl);
}

Test(rrl, a_flood_stays_limited_and_is_forgiven)
{
	struct dns_rrl *rrl = dns_rrl_new(10, 0, key);
	unsigned int slipped;

	ask(rrl, "192.0.2.1", 10000, 1, 1000, &slipped);
	cr_expect_eq(slipped, 0);
	cr_expect_eq(ask(rrl, "192.0.2.1", 100, 1, 1001, &slipped), 0, "in debt");
	cr_expect_eq(ask(rrl, "192.0.2.1", 100, 1, 1017, &slipped), 10, "15 seconds later");
	cr_expect_eq(ask(rrl, "192.0.2.1", 5, 1, 1500, &slipped), 5);
	dns_rrl_free(rrl);
}
