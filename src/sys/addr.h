/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_ADDR_H
#define VLY_SYS_ADDR_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include <volley/addr.h>

/* An address as a socket of `family` wants it: IPv4 is mapped for IPv6. -EINVAL otherwise. */
int vly_addr_convert(const struct volley_addr *addr, int family, struct volley_addr *ret_addr);

/* Whether it is an address of IPv4, by itself or mapped into IPv6. */
static inline bool vly_addr_is_ipv4(const struct volley_addr *addr)
{
	return addr->sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr);
}

/*
 * Whether it stands for all addresses of its family: 0.0.0.0, also mapped, or [::], which can mean
 * IPv4 too.
 */
static inline bool vly_addr_is_wildcard(const struct volley_addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return addr->in.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr) &&
		addr->in6.sin6_addr.s6_addr32[3] == htonl(INADDR_ANY));
}

/*
 * Whether it means another host on each link: 169.254.0.0/16 (RFC 3927), also mapped, and fe80::/10
 * (RFC 4291). A way to it is a link, not a route.
 */
static inline bool vly_addr_is_link_local(const struct volley_addr *addr)
{
	const struct in6_addr *in6 = &addr->in6.sin6_addr;

	if (addr->sa.sa_family == AF_INET)
		return (addr->in.sin_addr.s_addr & htonl(0xffff0000)) == htonl(0xa9fe0000);
	if (IN6_IS_ADDR_LINKLOCAL(in6))
		return true;
	return in6->s6_addr[12] == 169 && in6->s6_addr[13] == 254 && IN6_IS_ADDR_V4MAPPED(in6);
}

/*
 * Clients of one host differ in the port, hosts of one net in the last bytes, which are the high
 * ones of the key. Fibonacci hashing: every bit of the key reaches the uppermost bits of the
 * product, and no others, so those are the ones to use.
 */
static inline uint64_t vly_addr_hash(const struct volley_addr *addr)
{
	uint64_t key = addr->in.sin_port;
	uint64_t high;
	uint64_t low;

	if (addr->sa.sa_family == AF_INET) {
		key |= (uint64_t)addr->in.sin_addr.s_addr << 16;
	} else {
		memcpy(&high, &addr->in6.sin6_addr.s6_addr[0], sizeof high);
		memcpy(&low, &addr->in6.sin6_addr.s6_addr[8], sizeof low);
		key ^= (high * 31 + low) << 16 | low >> 48;
	}
	return key * UINT64_C(0x9e3779b97f4a7c15);
}

/* Whether two addresses of one family name the same host; port and scope do not count. */
static inline bool vly_addr_is_same_host(const struct volley_addr *a, const struct volley_addr *b)
{
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

/* The same host, port and scope: volley_addr_is_equal(), inline for the data path. */
static inline bool vly_addr_is_equal(const struct volley_addr *a, const struct volley_addr *b)
{
	if (a->in.sin_port != b->in.sin_port || a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_scope_id == b->in6.sin6_scope_id && vly_addr_is_same_host(a, b);
}

/* One of n for an address: the same each time, and clients are spread evenly. */
static inline uint32_t vly_addr_pick(const struct volley_addr *addr, uint32_t n)
{
	return (uint32_t)((vly_addr_hash(addr) >> 32) * n >> 32);
}

#endif
