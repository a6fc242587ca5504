/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "sys/addr.h"

Test(addr, size_is_32_bytes)
{
	cr_assert_eq(sizeof(struct volley_addr), 32);
}

/* Text, and what it is written as again. */
static const struct {
	const char *text;
	const char *canonical;
	uint16_t port;
} good[] = {
	{ "127.0.0.1:53", "127.0.0.1:53", 53 },
	{ "0.0.0.0:0", "0.0.0.0:0", 0 },
	{ "255.255.255.255:65535", "255.255.255.255:65535", 65535 },
	{ "1.2.3.4:0053", "1.2.3.4:53", 53 },
	{ "[::1]:53", "[::1]:53", 53 },
	{ "[::]:0", "[::]:0", 0 },
	{ "*:53", "[::]:53", 53 },
	{ ":53", "[::]:53", 53 },
	{ ":0", "[::]:0", 0 },
	{ "[2001:DB8:0:0::1]:5353", "[2001:db8::1]:5353", 5353 },
	{ "[::ffff:1.2.3.4]:9", "[::ffff:1.2.3.4]:9", 9 },
	{ "[fe80::1%lo]:7", "[fe80::1%lo]:7", 7 },
	{ "[fe80::1%1]:7", "[fe80::1%lo]:7", 7 },
	{ "[fe80::1%4294967295]:7", "[fe80::1%4294967295]:7", 7 },
	{ "[2001:db8:1234:5678:9abc:def0:1234:5678%4294967295]:65535",
	  "[2001:db8:1234:5678:9abc:def0:1234:5678%4294967295]:65535", 65535 },
};

Test(addr, parse_and_format)
{
	for (size_t i = 0; i < VLY_ARRAY_SIZE(good); i++) {
		struct volley_addr addr;
		char text[VOLLEY_ADDR_TEXT_BYTES];
		int n;

		cr_assert_eq(volley_addr_parse(good[i].text, &addr), 0, "%s", good[i].text);
		cr_assert_eq(volley_addr_get_port(&addr), good[i].port);
		n = volley_addr_format(&addr, text, sizeof text);
		cr_assert_eq(n, (int)strlen(good[i].canonical), "%s", good[i].text);
		cr_assert_str_eq(text, good[i].canonical);
	}
}

Test(addr, parse_fills_the_socket_address)
{
	struct volley_addr addr;

	cr_assert_eq(volley_addr_parse("127.0.0.1:53", &addr), 0);
	cr_assert_eq(addr.len, sizeof addr.in);
	cr_assert_eq(addr.in.sin_family, AF_INET);
	cr_assert_eq(addr.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	cr_assert_eq(addr.in.sin_port, htons(53));

	cr_assert_eq(volley_addr_parse("[fe80::2%lo]:53", &addr), 0);
	cr_assert_eq(addr.len, sizeof addr.in6);
	cr_assert_eq(addr.in6.sin6_family, AF_INET6);
	cr_assert_eq(addr.in6.sin6_addr.s6_addr[15], 2);
	cr_assert_eq(addr.in6.sin6_port, htons(53));
	cr_assert_eq(addr.in6.sin6_scope_id, if_nametoindex("lo"));
}

Test(addr, parse_refuses_everything_else)
{
	static const char *const bad[] = {
		"",
		":",
		"*",
		"*:",
		"53",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:+5",
		"1.2.3.4:-5",
		"1.2.3.4: 5",
		"1.2.3.4:5 ",
		" 1.2.3.4:5",
		"1.2.3.4:5x",
		"1.2.3.4:0x5",
		"1.2.3.4:65536",
		"1.2.3.4:99999999999999999999",
		"1.2.3:5",
		"127.1:5",
		"0177.0.0.1:5",
		"1.2.3.4.5:5",
		"1.2.3.4%lo:5",
		"localhost:5",
		"::1:5",
		"::1",
		"[::1]",
		"[::1]:",
		"[::1]5",
		"[::1:5",
		"::1]:5",
		"[]:5",
		"[:5",
		"]:5",
		"[*]:5",
		"[1.2.3.4]:5",
		"[[::1]]:5",
		"[::1]x:5",
		"[::1] :5",
		"[fe80::1%]:5",
		"[%lo]:5",
		"**:5",
		("[2001:db8:1234:5678:9abc:def0:1234:5678%"
		 "longer-than-any-name-of-an-interface-could-ever-be]:65535"),
	};

	for (size_t i = 0; i < VLY_ARRAY_SIZE(bad); i++) {
		struct volley_addr addr, before;

		memset(&addr, 0xee, sizeof addr);
		before = addr;
		cr_assert_eq(volley_addr_parse(bad[i], &addr), -EINVAL, "'%s'", bad[i]);
		cr_assert_eq(memcmp(&addr, &before, sizeof addr), 0, "untouched on failure");
	}
}

Test(addr, parse_says_when_there_is_no_such_interface)
{
	struct volley_addr addr;

	cr_assert_eq(volley_addr_parse("[fe80::1%nope]:5", &addr), -ENODEV);
	cr_assert_eq(volley_addr_parse("[fe80::1%4294967296]:5", &addr), -ENODEV);
	cr_assert_eq(volley_addr_parse("[fe80::1%+1]:5", &addr), -ENODEV);
}

Test(addr, format_needs_its_room)
{
	struct volley_addr addr;
	char text[16];

	cr_assert_eq(volley_addr_parse("127.0.0.1:53", &addr), 0);
	cr_assert_eq(volley_addr_format(&addr, text, 13), 12);
	cr_assert_eq(volley_addr_format(&addr, text, 12), -ENOSPC);
	cr_assert_eq(volley_addr_format(&addr, text, 1), -ENOSPC);
	cr_assert_eq(volley_addr_format(&addr, NULL, 0), -ENOSPC);
}

Test(addr, no_address_has_no_text_and_no_port)
{
	struct volley_addr none = { .len = 0 }, odd = { .len = sizeof odd.in6 };
	char text[VOLLEY_ADDR_TEXT_BYTES];

	odd.sa.sa_family = AF_UNIX;
	cr_assert_eq(volley_addr_format(&none, text, sizeof text), -EAFNOSUPPORT);
	cr_assert_eq(volley_addr_format(&odd, text, sizeof text), -EAFNOSUPPORT);
	odd.sa.sa_family = AF_INET;
	cr_assert_eq(volley_addr_format(&odd, text, sizeof text), -EAFNOSUPPORT, "wrong length");
	cr_assert_eq(volley_addr_get_port(&none), 0);
	cr_assert_eq(volley_addr_get_port(&odd), 0);
}

Test(addr, a_socket_of_either_family_gets_what_it_can_send_to)
{
	struct volley_addr v4, v6, out = { .len = 77 };
	char text[VOLLEY_ADDR_TEXT_BYTES];

	cr_assert_eq(volley_addr_parse("192.0.2.7:53", &v4), 0);
	cr_assert_eq(volley_addr_parse("[2001:db8::1]:53", &v6), 0);
	cr_assert_eq(vly_addr_convert(&v6, AF_INET, &out), -EINVAL);
	cr_assert_eq(out.len, 77, "untouched on failure");
	cr_assert_eq(vly_addr_convert(&v4, AF_UNIX, &out), -EINVAL);
	cr_assert_eq(vly_addr_convert(&v4, AF_INET, &out), 0);
	cr_assert_arr_eq(&out.in, &v4.in, sizeof v4.in);
	cr_assert_eq(vly_addr_convert(&v4, AF_INET6, &out), 0);
	cr_assert_eq(out.len, sizeof out.in6);
	volley_addr_format(&out, text, sizeof text);
	cr_assert_str_eq(text, "[::ffff:192.0.2.7]:53");
	cr_assert_eq(vly_addr_convert(&v6, AF_INET6, &out), 0);
	cr_assert_arr_eq(&out.in6, &v6.in6, sizeof v6.in6);
}

/* Clients that differ in the port only, or in the host only, as those of a test or of a net do. */
Test(addr, clients_are_spread_evenly)
{
	for (int by_host = 0; by_host < 2; by_host++) {
		uint32_t n[8] = { 0 };

		for (uint32_t i = 0; i < 800; i++) {
			struct volley_addr addr = { .in.sin_family = AF_INET,
						    .len = sizeof addr.in };

			addr.in.sin_addr.s_addr = htonl(0xc0000200 + (by_host ? i : 0));
			addr.in.sin_port = htons((uint16_t)(20000 + (by_host ? 0 : i)));
			n[vly_addr_pick(&addr, 8)]++;
		}
		for (int k = 0; k < 8; k++)
			cr_assert(n[k] > 70 && n[k] < 140, "%u of 800 are number %d's", n[k], k);
	}
}

/* Each of these is another address than each other one. */
Test(addr, equal_is_the_same_host_port_family_and_scope)
{
	static const char *const texts[] = {
		"192.0.2.1:53",          "192.0.2.1:54",     "192.0.2.2:53",
		"[::ffff:192.0.2.1]:53", "[2001:db8::1]:53", "[2001:db8::1]:0",
		"[fe80::1%1]:53",        "[fe80::1%2]:53",   "[2001:db9::1]:53",
	};
	struct volley_addr addr[VLY_ARRAY_SIZE(texts)];

	for (size_t i = 0; i < VLY_ARRAY_SIZE(texts); i++)
		cr_assert_eq(volley_addr_parse(texts[i], &addr[i]), 0);
	for (size_t i = 0; i < VLY_ARRAY_SIZE(texts); i++)
		for (size_t k = 0; k < VLY_ARRAY_SIZE(texts); k++)
			cr_assert_eq(volley_addr_is_equal(&addr[i], &addr[k]), i == k, "%s and %s",
				     texts[i], texts[k]);
}

static const uint64_t key[] = { 1, 2 };

/* What is_equal tells apart differs, and the key decides how. */
Test(addr, a_hash_takes_in_all_that_makes_an_address)
{
	static const char *const texts[] = {
		"192.0.2.1:53",     "192.0.2.1:54",     "192.0.2.2:53",     "[::ffff:192.0.2.1]:53",
		"[2001:db8::1]:53", "[2001:db8::1]:54", "[fe80::1%1]:53",   "[fe80::1%2]:53",
		"[2001:db9::1]:53", "0.0.0.0:0",        "[2001:db8::2]:53", "[::]:0",
	};
	static const uint64_t others[][2] = { { 1, 3 }, { 2, 2 } };
	struct volley_addr addr[VLY_ARRAY_SIZE(texts)];

	for (size_t i = 0; i < VLY_ARRAY_SIZE(texts); i++)
		cr_assert_eq(volley_addr_parse(texts[i], &addr[i]), 0);
	for (size_t i = 0; i < VLY_ARRAY_SIZE(texts); i++) {
		uint64_t hash = volley_addr_hash(&addr[i], key);

		for (size_t k = 0; k < VLY_ARRAY_SIZE(texts); k++)
			cr_assert_eq(volley_addr_hash(&addr[k], key) == hash, i == k, "%s and %s",
				     texts[i], texts[k]);
		for (size_t k = 0; k < VLY_ARRAY_SIZE(others); k++)
			cr_assert_neq(volley_addr_hash(&addr[i], others[k]), hash, "%s", texts[i]);
	}
	cr_assert_eq(volley_addr_hash(NULL, key), 0);
	cr_assert_eq(volley_addr_hash(&addr[0], NULL), 0);
}

Test(addr, unmapped_is_the_ipv4_address_inside)
{
	static const char *const cases[][2] = {
		{ "[::ffff:192.0.2.1]:53", "192.0.2.1:53" }, { "[::ffff:0.0.0.0]:0", "0.0.0.0:0" },
		{ "192.0.2.1:53", "192.0.2.1:53" },          { "[fe80::1%1]:53", "[fe80::1%1]:53" },
		{ "[::192.0.2.1]:53", "[::192.0.2.1]:53" }, /* compatible, not mapped */
	};

	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		struct volley_addr addr, want, got = { .len = 7 };

		cr_assert_eq(volley_addr_parse(cases[i][0], &addr), 0);
		cr_assert_eq(volley_addr_parse(cases[i][1], &want), 0);
		cr_assert_eq(volley_addr_unmap(&addr, &got), 0);
		cr_assert(volley_addr_is_equal(&got, &want), "%s", cases[i][0]);
		cr_assert_eq(got.len, want.len);
		cr_assert_eq(volley_addr_unmap(&addr, &addr), 0, "in place");
		cr_assert_eq(memcmp(&addr, &got, sizeof addr), 0);
	}
	cr_assert_eq(volley_addr_unmap(NULL, &(struct volley_addr){ .len = 0 }), -EINVAL);
	cr_assert_eq(volley_addr_unmap(&(struct volley_addr){ .len = 0 }, NULL), -EINVAL);
}

Test(addr, groups_are_known_by_their_address)
{
	static const struct {
		const char *text;
		bool is_group;
	} cases[] = { { "224.0.0.1:0", true },          { "239.255.255.255:9", true },
		      { "[ff02::1]:0", true },          { "[::ffff:224.0.0.251]:0", true },
		      { "223.255.255.255:0", false },   { "240.0.0.0:0", false },
		      { "0.0.0.0:0", false },           { "[fe80::1]:0", false },
		      { "[::ffff:127.0.0.1]:0", false } };

	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		struct volley_addr addr;

		cr_assert_eq(volley_addr_parse(cases[i].text, &addr), 0);
		cr_assert_eq(volley_addr_is_multicast(&addr), cases[i].is_group, "%s",
			     cases[i].text);
	}
	cr_assert_not(volley_addr_is_multicast(NULL));
	cr_assert_not(volley_addr_is_multicast(
		&(struct volley_addr){ .in6.sin6_addr.s6_addr = { 0xff } }));
}

/* What the kernel leaves in an address that is not a part of it. */
Test(addr, equal_does_not_look_at_what_is_beside_it)
{
	struct volley_addr a, b;

	cr_assert_eq(volley_addr_parse("192.0.2.1:53", &a), 0);
	memset(&b, 0xff, sizeof b);
	b.len = a.len;
	b.in.sin_family = a.in.sin_family;
	b.in.sin_port = a.in.sin_port;
	b.in.sin_addr = a.in.sin_addr;
	cr_assert(volley_addr_is_equal(&a, &b));
	cr_assert_eq(volley_addr_hash(&a, key), volley_addr_hash(&b, key));
	cr_assert_eq(volley_addr_parse("[2001:db8::1]:53", &a), 0);
	b = a;
	b.in6.sin6_flowinfo = 7;
	cr_assert(volley_addr_is_equal(&a, &b));
	cr_assert_eq(volley_addr_hash(&a, key), volley_addr_hash(&b, key));
}

Test(addr, a_wildcard_and_a_link_local_one_are_told_from_others)
{
	static const struct {
		const char *text;
		bool wildcard, link_local;
	} cases[] = { { "0.0.0.0:1", true, false },
		      { "[::]:1", true, false },
		      { "[::ffff:0.0.0.0]:1", true, false },
		      { "[::ffff:0.0.0.1]:1", false, false },
		      { "127.0.0.1:1", false, false },
		      { "169.254.0.1:1", false, true },
		      { "169.255.0.1:1", false, false },
		      { "[fe80::1]:1", false, true },
		      { "[febf::1]:1", false, true },
		      { "[fec0::1]:1", false, false },
		      { "[::ffff:169.254.255.255]:1", false, true },
		      { "[::ffff:169.253.0.1]:1", false, false },
		      { "[2001:db8::169.254.0.1]:1", false, false },
		      { "[::1]:1", false, false } };

	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		struct volley_addr addr;

		cr_assert_eq(volley_addr_parse(cases[i].text, &addr), 0);
		cr_assert_eq(vly_addr_is_wildcard(&addr), cases[i].wildcard, "%s", cases[i].text);
		cr_assert_eq(vly_addr_is_link_local(&addr), cases[i].link_local, "%s",
			     cases[i].text);
	}
}
