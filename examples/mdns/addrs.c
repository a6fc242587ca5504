/* SPDX-License-Identifier: MIT */

/* Asked of the kernel each time, so right also when they have just changed: getifaddrs(3). */

#include "addrs.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

size_t addrs_get_bytes(const struct sockaddr *addr, const uint8_t **ret_bytes)
{
	if (addr != NULL && addr->sa_family == AF_INET) {
		*ret_bytes = (const uint8_t *)&((const struct sockaddr_in *)addr)->sin_addr;
		return sizeof(struct in_addr);
	}
	if (addr != NULL && addr->sa_family == AF_INET6) {
		*ret_bytes = (const uint8_t *)&((const struct sockaddr_in6 *)addr)->sin6_addr;
		return sizeof(struct in6_addr);
	}
	return 0;
}

bool addrs_is_own(const uint8_t *bytes, size_t len)
{
	struct ifaddrs *addrs, *at;
	const uint8_t *own = NULL;

	if (getifaddrs(&addrs) < 0)
		return true; /* nobody knows */
	at = addrs;
	while (at != NULL && !(addrs_get_bytes(at->ifa_addr, &own) == len && own != NULL &&
			       memcmp(own, bytes, len) == 0))
		at = at->ifa_next;
	freeifaddrs(addrs);
	return at != NULL;
}

static bool is_in_network(const struct sockaddr *addr, const struct ifaddrs *network)
{
	const uint8_t *a = NULL, *b = NULL, *mask = NULL;
	size_t len = addrs_get_bytes(addr, &a), i = 0;

	if (len == 0 || addrs_get_bytes(network->ifa_addr, &b) != len ||
	    addrs_get_bytes(network->ifa_netmask, &mask) != len)
		return false;
	while (i < len && ((a[i] ^ b[i]) & mask[i]) == 0)
		i++;
	return i == len;
}

bool addrs_is_near(const struct volley_addr *peer, const char *link)
{
	struct ifaddrs *addrs = NULL, *at;
	struct volley_addr addr;

	volley_addr_unmap(peer, &addr);
	getifaddrs(&addrs); /* or nobody is */
	at = addrs;
	while (at != NULL && !(strcmp(at->ifa_name, link) == 0 && is_in_network(&addr.sa, at)))
		at = at->ifa_next;
	freeifaddrs(addrs);
	return at != NULL;
}
