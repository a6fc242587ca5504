/* SPDX-License-Identifier: MIT */

/* Where a datagram that replies to nothing goes, from sockets of either family. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>

#include <volley/send.h>

#include "lib/loopback.h"
#include "path/route.h"

static struct vly_listener listener;
static struct vly_route route;

static int find(const char *peer, const char *local)
{
	struct volley_addr to = loopback_addr(peer);
	struct volley_addr from = loopback_addr(local != NULL ? local : "0.0.0.0:0");

	return vly_route_find(&listener, &to, VOLLEY_SEND(.local = local != NULL ? &from : NULL),
			      &route);
}

static void expect(const struct volley_addr *addr, const char *text)
{
	char is[VOLLEY_ADDR_TEXT_BYTES];

	cr_assert_gt(volley_addr_format(addr, is, sizeof is), 0);
	cr_assert_str_eq(is, text);
}

Test(route, it_leaves_from_the_socket_unless_told)
{
	listener.addr = loopback_addr("192.0.2.1:53");
	cr_assert_eq(find("192.0.2.7:1000", NULL), 0);
	expect(&route.peer, "192.0.2.7:1000");
	cr_assert_eq(route.local.len, 0);
	cr_assert_not(route.is_refused);
	cr_assert_eq(find("192.0.2.7:1000", "192.0.2.9:77"), 0);
	expect(&route.local, "192.0.2.9:53");
}

Test(route, an_ipv6_socket_reaches_ipv4_but_not_the_other_way_round)
{
	listener.addr = loopback_addr("[::]:53");
	listener.wildcard = true;
	cr_assert_eq(find("192.0.2.7:1000", "192.0.2.9:0"), 0);
	expect(&route.peer, "[::ffff:192.0.2.7]:1000");
	expect(&route.local, "[::ffff:192.0.2.9]:53");
	cr_assert_eq(find("[2001:db8::1]:1000", NULL), 0);
	expect(&route.peer, "[2001:db8::1]:1000");
	cr_assert_eq(find("[2001:db8::1]:1000", "192.0.2.9:0"), -EINVAL);
	cr_assert_eq(find("192.0.2.7:1000", "[2001:db8::1]:0"), -EINVAL);
	listener.config.flags = VOLLEY_LISTEN_V6ONLY;
	cr_assert_eq(find("192.0.2.7:1000", NULL), -EINVAL);
	cr_assert_eq(find("[2001:db8::1]:1000", NULL), 0);
	listener.config.flags = 0;
	listener.addr = loopback_addr("[::ffff:0.0.0.0]:53");
	cr_assert_eq(find("192.0.2.7:1000", NULL), 0);
	cr_assert_eq(find("[2001:db8::1]:1000", NULL), -EINVAL);
	listener.wildcard = false;
	listener.addr = loopback_addr("[2001:db8::2]:53");
	cr_assert_eq(find("192.0.2.7:1000", NULL), -EINVAL);
	cr_assert_eq(find("[2001:db8::1]:1000", NULL), 0);
	listener.addr = loopback_addr("0.0.0.0:53");
	cr_assert_eq(find("[2001:db8::1]:1000", NULL), -EINVAL);
	cr_assert_eq(find("192.0.2.7:1000", "[2001:db8::1]:0"), -EINVAL);
}

Test(route, nothing_goes_to_port_0_or_to_ourselves)
{
	listener.addr = loopback_addr("192.0.2.1:53");
	cr_assert_eq(find("192.0.2.7:0", NULL), 0);
	cr_assert(route.is_refused);
	cr_assert_eq(find("192.0.2.1:53", NULL), 0);
	cr_assert(route.is_refused);
	cr_assert_eq(find("192.0.2.1:54", NULL), 0);
	cr_assert_not(route.is_refused);
	/* Whatever it leaves from; and what goes to all addresses goes to that one. */
	cr_assert_eq(find("192.0.2.1:53", "192.0.2.9:0"), 0);
	cr_assert(route.is_refused);
	cr_assert_eq(find("0.0.0.0:53", NULL), 0);
	cr_assert(route.is_refused);
	cr_assert_eq(find("0.0.0.0:54", NULL), 0);
	cr_assert_not(route.is_refused);
	/* Of a wildcard listener the address that it leaves from says it, or the machine does. */
	listener.addr = loopback_addr("0.0.0.0:53");
	listener.wildcard = true;
	cr_assert_eq(find("192.0.2.9:53", NULL), 0);
	cr_assert_not(route.is_refused);
	cr_assert(route.may_be_own);
	cr_assert_eq(find("192.0.2.9:54", NULL), 0);
	cr_assert_not(route.may_be_own);
	cr_assert_eq(find("192.0.2.9:53", "192.0.2.9:0"), 0);
	cr_assert(route.is_refused);
}

Test(route, a_link_local_address_leaves_by_its_link)
{
	struct volley_addr to = loopback_addr("[2001:db8::1]:1000");
	struct volley_addr from = loopback_addr("[fe80::1]:0");

	listener.addr = loopback_addr("[::]:53");
	from.in6.sin6_scope_id = 7;
	cr_assert_eq(vly_route_find(&listener, &to, VOLLEY_SEND(.local = &from), &route), 0);
	cr_assert_eq(route.ifindex, 7);
	cr_assert_eq(vly_route_find(&listener, &to, NULL, &route), 0);
	cr_assert_eq(route.ifindex, 0);
	from = loopback_addr("[2001:db8::2]:0");
	from.in6.sin6_scope_id = 7; /* which means nothing here */
	cr_assert_eq(vly_route_find(&listener, &to, VOLLEY_SEND(.local = &from), &route), 0);
	cr_assert_eq(route.ifindex, 0);
}

/* What has an address of its own leaves from there by every link. */
Test(route, a_link_leaves_the_address_as_it_is)
{
	struct volley_addr to = loopback_addr("192.0.2.7:1000");

	listener.addr = loopback_addr("192.0.2.1:53");
	cr_assert_eq(vly_route_find(&listener, &to, VOLLEY_SEND(.interface_index = 3), &route), 0);
	cr_assert_eq(route.ifindex, 3);
	expect(&route.local, "192.0.2.1:53");
	cr_assert_eq(vly_route_find_reply(&listener, &to, NULL, 0,
					  VOLLEY_SEND(.interface_index = 3), &route),
		     0);
	expect(&route.local, "192.0.2.1:53");
	listener.addr = loopback_addr("224.0.0.9:53");
	listener.is_cast = true;
	cr_assert_eq(vly_route_find(&listener, &to, VOLLEY_SEND(.interface_index = 3), &route), 0);
	expect(&route.local, "0.0.0.0:0");
}

Test(route, options_become_a_header_and_a_link)
{
	struct volley_addr to = loopback_addr("[::ffff:192.0.2.1]:1000");
	struct volley_send_options options;

	listener.addr = loopback_addr("[::]:53");
	listener.wildcard = true;
	volley_send_options_init(&options, sizeof options);
	options.flags = VOLLEY_SEND_TOS | VOLLEY_SEND_TTL | VOLLEY_SEND_IF_ROOM;
	options.tos = 0xb9;
	options.ttl = 255;
	options.interface_index = 3;
	cr_assert_eq(vly_route_find(&listener, &to, &options, &route), 0);
	cr_assert_eq(route.header,
		     VLY_CMSG_HEADER_LOCAL | VLY_CMSG_HEADER_TOS | VLY_CMSG_HEADER_TTL | 0xffb9);
	cr_assert(route.if_room);
	cr_assert_eq(route.ifindex, 3);
	expect(&route.local, "[::ffff:0.0.0.0]:0");
	options.ttl = 0;
	cr_assert_eq(vly_route_find(&listener, &to, &options, &route), -EINVAL, "IPv4 has none");
	to = loopback_addr("[2001:db8::1]:1000");
	cr_assert_eq(vly_route_find(&listener, &to, &options, &route), 0);
	expect(&route.local, "[::]:0");
	cr_assert_eq(vly_route_find(&listener, &to, NULL, &route), 0);
	cr_assert_eq(route.header, 0);
	cr_assert_not(route.if_room);
	cr_assert_eq(route.local.len, 0);
	options.size = 8;
	cr_assert_eq(vly_route_find(&listener, &to, &options, &route), -EINVAL,
		     "no struct of ours");
}
