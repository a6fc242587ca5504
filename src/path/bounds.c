/* SPDX-License-Identifier: MIT */

/*
 * Two are counted of what is bound: its kind at its port, and its address. Where it hears one
 * interface only, both once more, for that interface and for all that hear one; so what hears all
 * of them is the difference. Whatever is asked is a look or a few at these counts.
 *
 * That two different addresses have the same hash of 64 bits is as good as impossible.
 */

#include "path/bounds.h"

#include <string.h>

#include "sys/addr.h"

/* Kinds of addresses; ANY is [::] that takes IPv4 as well. */
enum kind { IN = 0, ANY4, IN6, ANY6, ANY, N_KINDS };

/* Which others each of them overlaps at the same port; one single address only itself. */
static const uint8_t overlaps[N_KINDS] = {
	[IN] = 1 << ANY4 | 1 << ANY,
	[ANY4] = 1 << IN | 1 << ANY4 | 1 << ANY,
	[IN6] = 1 << ANY6 | 1 << ANY,
	[ANY6] = 1 << IN6 | 1 << ANY6 | 1 << ANY,
	[ANY] = 1 << IN | 1 << ANY4 | 1 << IN6 | 1 << ANY6 | 1 << ANY,
};

/* In the place of an interface's index, which the kernel counts from 1 on. */
enum { ALL = 0, SINGLE = UINT16_MAX };

static uint64_t mix(uint64_t key)
{
	key *= UINT64_C(0x9e3779b97f4a7c15);
	return key ^ key >> 32;
}

uint64_t vly_bounds_get_key(const struct volley_addr *addr, in_port_t port)
{
	struct volley_addr in6 = *addr;
	uint64_t high, low, scope = 0;

	if (addr->sa.sa_family == AF_INET)
		vly_addr_convert(addr, AF_INET6, &in6);
	else if (IN6_IS_ADDR_LINKLOCAL(&addr->in6.sin6_addr))
		scope = addr->in6.sin6_scope_id;
	memcpy(&high, &in6.in6.sin6_addr.s6_addr[0], sizeof high);
	memcpy(&low, &in6.in6.sin6_addr.s6_addr[8], sizeof low);
	return mix(mix(mix(high) ^ low) ^ (scope << 16 | port));
}

static uint64_t make_kind_key(enum kind kind, in_port_t port, uint32_t device)
{
	return (uint64_t)device << 32 | (uint64_t)kind << 16 | port;
}

static uint64_t make_addr_key(const struct volley_addr *addr, uint32_t device)
{
	uint64_t scope = addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_scope_id : 0;

	return mix(mix(vly_bounds_get_key(addr, addr->in.sin_port) ^ scope) ^ device);
}

static enum kind get_kind(const struct vly_bound *bound)
{
	bool is_wildcard = vly_addr_is_wildcard(&bound->addr);

	if (vly_addr_is_ipv4(&bound->addr))
		return is_wildcard ? ANY4 : IN;
	if (!is_wildcard)
		return IN6;
	return bound->v6only ? ANY6 : ANY;
}

void vly_bounds_fini(struct vly_bounds *bounds)
{
	vly_tally_fini(&bounds->tally);
}

enum { N_KEYS = 6 };

/* All that it is counted by. Returns how many. */
static uint32_t list_keys(const struct vly_bound *bound, uint64_t keys[N_KEYS])
{
	const uint32_t devices[] = { ALL, SINGLE, bound->device_index };
	uint32_t n = bound->device_index != 0 ? 3 : 1;

	for (uint32_t i = 0; i < n; i++) {
		keys[2 * i] = make_kind_key(get_kind(bound), bound->addr.in.sin_port, devices[i]);
		keys[2 * i + 1] = make_addr_key(&bound->addr, devices[i]);
	}
	return 2 * n;
}

int vly_bounds_add(struct vly_bounds *bounds, const struct volley_allocator *allocator,
		   const struct vly_bound *bound)
{
	uint64_t keys[N_KEYS];
	uint32_t n = list_keys(bound, keys);

	for (uint32_t i = 0; i < n; i++) {
		int r = vly_tally_add(&bounds->tally, allocator, keys[i]);

		if (r >= 0)
			continue;
		while (i > 0)
			vly_tally_remove(&bounds->tally, keys[--i]);
		return r;
	}
	return 0;
}

void vly_bounds_remove(struct vly_bounds *bounds, const struct vly_bound *bound)
{
	uint64_t keys[N_KEYS];
	uint32_t n = list_keys(bound, keys);

	while (n > 0)
		vly_tally_remove(&bounds->tally, keys[--n]);
}

static uint32_t count(const struct vly_bounds *bounds, uint64_t key)
{
	return vly_tally_count(&bounds->tally, key);
}

bool vly_bounds_has_same(const struct vly_bounds *bounds, const struct vly_bound *bound)
{
	const struct volley_addr *addr = &bound->addr;

	if (bound->device_index != 0)
		return count(bounds, make_addr_key(addr, bound->device_index)) > 0;
	return count(bounds, make_addr_key(addr, ALL)) > count(bounds, make_addr_key(addr, SINGLE));
}

bool vly_bounds_has_addr(const struct vly_bounds *bounds, const struct volley_addr *addr)
{
	return count(bounds, make_addr_key(addr, ALL)) > 0;
}

/* Of which some hear an interface that `device` says: all of them hear something of `ALL`. */
static bool has_kind(const struct vly_bounds *bounds, enum kind kind, in_port_t port,
		     uint32_t device)
{
	uint32_t n = count(bounds, make_kind_key(kind, port, ALL));

	if (n == 0 || device == ALL)
		return n > 0;
	return n > count(bounds, make_kind_key(kind, port, SINGLE)) ||
	       count(bounds, make_kind_key(kind, port, device)) > 0;
}

static bool has_other_addr(const struct vly_bounds *bounds, const struct vly_bound *bound)
{
	const struct vly_bound all = { .addr = bound->addr };

	if (bound->device_index == 0)
		return vly_bounds_has_addr(bounds, &bound->addr);
	return vly_bounds_has_same(bounds, &all) || vly_bounds_has_same(bounds, bound);
}

bool vly_bounds_has_overlap(const struct vly_bounds *bounds, const struct vly_bound *bound)
{
	uint32_t others = overlaps[get_kind(bound)];

	for (uint32_t kind = 0; kind < N_KINDS; kind++)
		if ((others >> kind & 1) &&
		    has_kind(bounds, (enum kind)kind, bound->addr.in.sin_port, bound->device_index))
			return true;
	return has_other_addr(bounds, bound);
}

bool vly_bounds_has_number(const struct vly_bounds *bounds, in_port_t port)
{
	for (uint32_t kind = 0; kind < N_KINDS; kind++)
		if (has_kind(bounds, (enum kind)kind, port, ALL))
			return true;
	return false;
}

bool vly_bounds_has_any4(const struct vly_bounds *bounds, in_port_t port)
{
	return has_kind(bounds, ANY4, port, ALL) || has_kind(bounds, ANY, port, ALL);
}

bool vly_bounds_has_any6(const struct vly_bounds *bounds, in_port_t port)
{
	return has_kind(bounds, ANY6, port, ALL) || has_kind(bounds, ANY, port, ALL);
}

bool vly_bounds_has_wildcard4(const struct vly_bounds *bounds, in_port_t port)
{
	return has_kind(bounds, ANY4, port, ALL);
}
