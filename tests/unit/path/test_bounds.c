/* SPDX-License-Identifier: MIT */

/* What is bound to which port: the counts against a look at all that is there. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "path/bounds.h"
#include "sys/addr.h"

static const char *const texts[] = {
	"192.0.2.1:53",          "192.0.2.2:53",     "0.0.0.0:53", "192.0.2.1:54",
	"[::ffff:192.0.2.1]:53", "[2001:db8::1]:53", "[::]:53",    "[::]:54",
	"[2001:db8::1]:54"
};

enum { N_TEXTS = sizeof texts / sizeof texts[0], N_DEVICES = 3, N_ALL = N_TEXTS * N_DEVICES * 2 };

static struct vly_bound all[N_ALL];
static uint32_t counts[N_ALL];
static struct vly_bounds bounds;

static void list_all(void)
{
	for (uint32_t i = 0; i < N_ALL; i++)
		all[i] = (struct vly_bound){ .addr = loopback_addr(texts[i / (N_DEVICES * 2)]),
					     .device_index = i / 2 % N_DEVICES,
					     .v6only = i % 2 != 0 };
}

TestSuite(bounds, .init = list_all, .timeout = 60);

static bool takes_ipv4(const struct vly_bound *bound)
{
	return vly_addr_is_ipv4(&bound->addr) ||
	       (vly_addr_is_wildcard(&bound->addr) && !bound->v6only);
}

static bool takes_ipv6(const struct vly_bound *bound)
{
	return !vly_addr_is_ipv4(&bound->addr);
}

static bool is_same_addr(const struct vly_bound *a, const struct vly_bound *b)
{
	struct volley_addr own_a, own_b;

	return volley_addr_unmap(&a->addr, &own_a) >= 0 &&
	       volley_addr_unmap(&b->addr, &own_b) >= 0 && volley_addr_is_equal(&own_a, &own_b);
}

/* As the kernel would say it. */
static bool overlaps(const struct vly_bound *a, const struct vly_bound *b)
{
	if (a->addr.in.sin_port != b->addr.in.sin_port ||
	    (a->device_index != b->device_index && a->device_index != 0 && b->device_index != 0))
		return false;
	if (is_same_addr(a, b))
		return true;
	return (vly_addr_is_wildcard(&a->addr) || vly_addr_is_wildcard(&b->addr)) &&
	       ((takes_ipv4(a) && takes_ipv4(b)) || (takes_ipv6(a) && takes_ipv6(b)));
}

static void compare(const struct vly_bound *bound)
{
	bool same = false, part = false, port = false, addr = false;

	for (uint32_t i = 0; i < N_ALL; i++) {
		if (counts[i] == 0)
			continue;
		same = same ||
		       (is_same_addr(&all[i], bound) && all[i].device_index == bound->device_index);
		addr = addr || is_same_addr(&all[i], bound);
		part = part || overlaps(&all[i], bound);
		port = port || all[i].addr.in.sin_port == bound->addr.in.sin_port;
	}
	cr_assert_eq(vly_bounds_has_same(&bounds, bound), same);
	cr_assert_eq(vly_bounds_has_addr(&bounds, &bound->addr), addr);
	cr_assert_eq(vly_bounds_has_overlap(&bounds, bound), part);
	cr_assert_eq(vly_bounds_has_number(&bounds, bound->addr.in.sin_port), port);
}

Test(bounds, they_know_what_a_look_at_all_would_say)
{
	uint32_t seed = 1;

	for (int step = 0; step < 3000; step++) {
		uint32_t i;

		seed = seed * 1664525 + 1013904223;
		i = (seed >> 8) % N_ALL;
		if (counts[i] == 0 && seed >> 30 == 0) {
			cr_assert_eq(vly_bounds_add(&bounds, NULL, &all[i]), 0);
			counts[i]++;
		} else if (counts[i] > 0) {
			vly_bounds_remove(&bounds, &all[i]);
			counts[i]--;
		}
		for (i = 0; i < N_ALL; i++)
			compare(&all[i]);
	}
	vly_bounds_fini(&bounds);
}

Test(bounds, wildcards_are_known_by_their_families)
{
	in_port_t port = all[0].addr.in.sin_port;
	struct vly_bound any = { .addr = loopback_addr("[::]:53") };

	cr_assert_eq(vly_bounds_add(&bounds, NULL, &any), 0);
	cr_assert(vly_bounds_has_any4(&bounds, port) && vly_bounds_has_any6(&bounds, port));
	cr_assert_not(vly_bounds_has_wildcard4(&bounds, port));
	vly_bounds_remove(&bounds, &any);
	any.v6only = true;
	cr_assert_eq(vly_bounds_add(&bounds, NULL, &any), 0);
	cr_assert(!vly_bounds_has_any4(&bounds, port) && vly_bounds_has_any6(&bounds, port));
	any.addr = loopback_addr("0.0.0.0:53");
	cr_assert_eq(vly_bounds_add(&bounds, NULL, &any), 0);
	cr_assert(vly_bounds_has_wildcard4(&bounds, port));
	vly_bounds_fini(&bounds);
}

/* Six keys each, for an interface: the second of them finds a table of 16 places full. */
Test(bounds, without_memory_nothing_has_changed)
{
	const struct vly_bound first = { .addr = all[0].addr, .device_index = 1 };
	const struct vly_bound second = { .addr = loopback_addr("[::1]:99"), .device_index = 2 };
	const struct vly_bound third = { .addr = loopback_addr("[::1]:100"), .device_index = 2 };

	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(vly_bounds_add(&bounds, NULL, &first), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_not(vly_bounds_has_addr(&bounds, &first.addr));
	cr_assert_eq(vly_bounds_add(&bounds, NULL, &first), 0);
	cr_assert_eq(vly_bounds_add(&bounds, NULL, &second), 0);
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(vly_bounds_add(&bounds, NULL, &third), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_not(vly_bounds_has_addr(&bounds, &third.addr));
	cr_assert_not(vly_bounds_has_number(&bounds, third.addr.in.sin_port));
	cr_assert(vly_bounds_has_same(&bounds, &first) && vly_bounds_has_same(&bounds, &second));
	vly_bounds_fini(&bounds);
}
