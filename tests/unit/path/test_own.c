/* SPDX-License-Identifier: MIT */

/* Which addresses are a server's own, as listeners come and go, with netlink and without. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include <volley/config.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "lib/namespace.h"
#include "lib/skip.h"
#include "path/own.h"

static struct vly_own own;
static struct volley_config config;
static unsigned int n_logs;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	n_logs += strstr(text, "addresses of this machine") != NULL;
}

static void open_own(void)
{
	if (!namespace_enter())
		skip_test("no network namespace");
	config.log = on_log;
	vly_own_init(&own, &config);
}

TestSuite(own, .init = open_own, .timeout = 60);

static void add(const char *text, bool v6only)
{
	const struct vly_bound bound = { .addr = loopback_addr(text), .v6only = v6only };

	cr_assert_eq(vly_own_add(&own, &bound), 0);
}

static bool has(const char *text)
{
	struct volley_addr addr = loopback_addr(text);

	return vly_own_has(&own, &addr);
}

Test(own, a_listener_on_one_address_is_that_address)
{
	struct volley_addr addr = loopback_addr("192.0.2.1:53");

	cr_assert(vly_own_has_number(&own, 0), "it takes a look: nobody can be replied to there");
	cr_assert_not(vly_own_has_number(&own, addr.in.sin_port));
	cr_assert_not(has("192.0.2.1:53"));
	add("192.0.2.1:53", false);
	cr_assert(vly_own_has_number(&own, addr.in.sin_port));
	cr_assert(has("192.0.2.1:53"));
	cr_assert(has("[::ffff:192.0.2.1]:53"));
	cr_assert(has("0.0.0.0:53") && has("[::]:53"), "the kernel sends it here");
	cr_assert_not(has("192.0.2.1:54"));
	cr_assert_not(has("127.0.0.1:53"));
	cr_assert_not(has("[2001:db8::1]:53"));
	vly_own_remove(&own, &(const struct vly_bound){ .addr = addr });
	cr_assert_not(has("192.0.2.1:53"));
	vly_own_fini(&own);
}

Test(own, each_port_is_told_from_all_others)
{
	static const char *const texts[] = { "192.0.2.1:53", "192.0.2.1:65535", "192.0.2.1:4790" };
	uint32_t n = 0, n_maybe = 0;

	for (size_t i = 0; i < 3; i++)
		add(texts[i], false);
	for (uint32_t port = 0; port < 65536; port++) {
		n += vly_own_has_number(&own, port);
		n_maybe += vly_own_has_bit(&own, port);
	}
	cr_assert_eq(n, 4, "and port 0");
	cr_assert_eq(n_maybe, 4 * 65536 / 64);
	for (size_t i = 0; i < 3; i++) {
		struct volley_addr addr = loopback_addr(texts[i]);

		cr_assert(vly_own_has_number(&own, addr.in.sin_port));
		cr_assert(vly_own_has_bit(&own, addr.in.sin_port));
		vly_own_remove(&own, &(const struct vly_bound){ .addr = addr });
		cr_assert_not(vly_own_has_number(&own, addr.in.sin_port));
	}
	vly_own_fini(&own);
}

Test(own, a_wildcard_is_every_address_of_its_families)
{
	add("0.0.0.0:53", false);
	add("[::]:54", true);
	add("[::]:55", false);
	cr_assert(has("127.0.0.1:53") && has("127.9.9.9:53") && has("[::ffff:127.0.0.1]:53"));
	cr_assert_not(has("[::1]:53"));
	cr_assert(has("[::1]:54"));
	cr_assert_not(has("127.0.0.1:54"));
	cr_assert(has("[::1]:55") && has("127.0.0.1:55"));
	cr_assert_not(has("192.0.2.1:55"));
	vly_own_fini(&own);
}

Test(own, addresses_of_interfaces_come_and_go)
{
	cr_assert(namespace_run("ip address add 192.0.2.1/24 dev lo"));
	cr_assert(namespace_run("ip address add fe80::1/64 dev lo nodad"));
	add("[::]:53", false);
	cr_assert(has("192.0.2.1:53"));
	cr_assert_not(has("192.0.2.2:53"));
	cr_assert_not(has("[fe80::1]:53"), "on another link");
	cr_assert(namespace_run("ip address add 192.0.2.2/24 dev lo"));
	while (!has("192.0.2.2:53"))
		continue; /* 10 ms at most */
	cr_assert(namespace_run("ip address del 192.0.2.1/24 dev lo"));
	while (has("192.0.2.1:53"))
		continue;
	cr_assert_eq(n_logs, 0);
	vly_own_fini(&own);
}

Test(own, without_netlink_what_is_known_counts)
{
	fault_arm(FAULT_SOCKET, 1, EPERM);
	add("0.0.0.0:53", false);
	cr_assert_eq(fault_disarm(), 1);
	fault_arm(FAULT_SOCKET, 1, EPERM);
	add("0.0.0.0:54", false);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(n_logs, 1, "said once");
	cr_assert(has("127.0.0.1:53"));
	cr_assert_not(has("192.0.2.1:53"));
	add("192.0.2.1:53", false);
	cr_assert(has("192.0.2.1:53"));
	vly_own_fini(&own);
}

/* Of two that share a port the one that went is nobody's; of two of one address the other stays. */
Test(own, whoever_goes_takes_what_is_its_own_alone)
{
	const struct vly_bound first = { .addr = loopback_addr("192.0.2.1:53") };
	const struct vly_bound second = { .addr = loopback_addr("192.0.2.2:53") };

	for (int i = 0; i < 2; i++)
		cr_assert_eq(vly_own_add(&own, &first), 0);
	cr_assert_eq(vly_own_add(&own, &second), 0);
	vly_own_remove(&own, &first);
	cr_assert(has("192.0.2.1:53"));
	vly_own_remove(&own, &first);
	cr_assert_not(has("192.0.2.1:53"));
	cr_assert(has("192.0.2.2:53"));
	vly_own_remove(&own, &second);
	vly_own_fini(&own);
}
