/* SPDX-License-Identifier: MIT */

/* The machine's addresses, in a network of the test's own, and notices of their changes. */

#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "lib/namespace.h"
#include "lib/skip.h"
#include "sys/addr.h"
#include "sys/netlink.h"

static uint32_t n_all;

/* How often it is in the list. */
static uint32_t find(int fd, const char *text)
{
	struct volley_addr wanted = loopback_addr(text);
	struct vly_netlink_part part = { .n = 0 };
	uint32_t n = 0;

	if (vly_addr_is_link_local(&wanted) && wanted.sa.sa_family == AF_INET6)
		wanted.in6.sin6_scope_id = if_nametoindex("lo");
	cr_assert_eq(vly_netlink_request(fd), 0);
	for (n_all = 0; !part.is_last; n_all += part.n) {
		cr_assert_eq(vly_netlink_recv(fd, &part), 0);
		cr_assert_not(part.is_old);
		for (uint32_t i = 0; i < part.n; i++)
			n += vly_addr_is_equal(&part.addrs[i], &wanted);
	}
	return n;
}

Test(netlink, addresses_are_listed_and_changes_are_heard_of, .timeout = 60)
{
	struct vly_netlink_part part = { .n = 0 };
	bool is_old = false;
	bool hears;
	int fd;

	if (!namespace_enter())
		skip_test("no network namespace");
	cr_assert_eq(vly_netlink_open(&fd, &hears), 0);
	cr_assert(hears);
	cr_assert_not(vly_netlink_has_changed(fd));
	cr_assert_eq(find(fd, "127.0.0.1:0"), 1);
	cr_assert_eq(find(fd, "10.0.0.1:0"), 0);

	cr_assert(namespace_run("ip address add 10.0.0.1/24 dev lo"));
	cr_assert(namespace_run("ip address add 10.1.0.1 peer 10.1.0.2 dev lo"));
	cr_assert(namespace_run("ip address add fd00::1/64 dev lo nodad"));
	cr_assert(namespace_run("ip address add fe80::1/64 dev lo nodad"));
	cr_assert(vly_netlink_has_changed(fd));
	cr_assert_not(vly_netlink_has_changed(fd), "heard of once");
	cr_assert_eq(find(fd, "10.0.0.1:0"), 1);
	cr_assert_eq(find(fd, "10.1.0.1:0"), 1);
	cr_assert_eq(find(fd, "10.1.0.2:0"), 0, "the other end's");
	cr_assert_eq(find(fd, "[fd00::1]:0"), 1);
	cr_assert_eq(find(fd, "[fe80::1]:0"), 1);
	cr_assert_not(vly_netlink_has_changed(fd), "a list is no change");

	/* Many, in several messages. */
	cr_assert(namespace_run("for i in $(seq 200); do echo address add 10.2.0.$i/32 dev lo; done"
				" | ip -batch -"));
	cr_assert(vly_netlink_has_changed(fd));
	cr_assert_eq(find(fd, "10.2.0.200:0"), 1);
	cr_assert_gt(n_all, 200);

	/* A change behind the request is seen among the parts. */
	cr_assert_eq(vly_netlink_request(fd), 0);
	cr_assert(namespace_run("ip address del 10.2.0.200/32 dev lo"));
	while (!part.is_last) {
		cr_assert_eq(vly_netlink_recv(fd, &part), 0);
		is_old = is_old || part.is_old;
	}
	cr_assert(is_old);
	vly_netlink_close(fd);
	cr_assert_eq(vly_netlink_request(fd), -EBADF);
	cr_assert_eq(vly_netlink_recv(fd, &part), -EBADF);
}
