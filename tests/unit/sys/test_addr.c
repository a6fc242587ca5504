/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <volley/addr.h>

#include "base/compiler.h"

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
