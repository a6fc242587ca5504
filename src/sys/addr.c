/* SPDX-License-Identifier: MIT */

/*
 * Addresses and their text. The C library reads and writes the bare address; the brackets, the
 * scope and the port are ours, because getaddrinfo() also accepts names, octal and half an address
 * ("127.1"), and a server that listens somewhere else than its operator meant is worse than one
 * that refuses to start.
 */

#include "sys/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/siphash.h"
#include "sys/socket.h"

/* Decimal digits only: no sign, no space, no leading junk, at most `max`. */
static int parse_number(const char *text, uint32_t max, uint32_t *ret_number)
{
	uint64_t number = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > max)
			return -EINVAL;
	}
	*ret_number = (uint32_t)number;
	return 0;
}

/* An interface's name, or its index, which need not exist yet. */
static int parse_scope(const char *text, uint32_t *ret_scope)
{
	int r;

	if (*text == '\0')
		return -EINVAL;
	r = vly_socket_find_interface(text, ret_scope);
	return r < 0 && parse_number(text, UINT32_MAX, ret_scope) < 0 ? r : 0;
}

static int parse_in6(char *host, uint16_t port, struct volley_addr *ret_addr)
{
	struct volley_addr addr = { .len = sizeof addr.in6 };
	char *percent = strchr(host, '%');

	addr.in6.sin6_family = AF_INET6;
	addr.in6.sin6_port = htons(port);
	if (percent != NULL)
		*percent = '\0';
	if (inet_pton(AF_INET6, host, &addr.in6.sin6_addr) != 1)
		return -EINVAL;
	if (percent != NULL) {
		int r = parse_scope(percent + 1, &addr.in6.sin6_scope_id);

		if (r < 0)
			return r;
	}
	*ret_addr = addr;
	return 0;
}

static int parse_in(const char *host, uint16_t port, struct volley_addr *ret_addr)
{
	struct volley_addr addr = { .len = sizeof addr.in };

	addr.in.sin_family = AF_INET;
	addr.in.sin_port = htons(port);
	if (inet_pton(AF_INET, host, &addr.in.sin_addr) != 1)
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

int volley_addr_parse(const char *text, struct volley_addr *ret_addr)
{
	char host[VOLLEY_ADDR_TEXT_BYTES];
	size_t n_host;
	uint32_t port;
	char *colon;

	if (text == NULL || ret_addr == NULL)
		return -EINVAL;
	if (strlcpy(host, text, sizeof host) >= sizeof host)
		return -EINVAL;
	colon = strrchr(host, ':');
	if (colon == NULL || parse_number(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	*colon = '\0';

	n_host = (size_t)(colon - host);
	if (n_host == 0 || strcmp(host, "*") == 0) {
		strlcpy(host, "::", sizeof host);
		return parse_in6(host, (uint16_t)port, ret_addr);
	}
	if (host[0] == '[' && host[n_host - 1] == ']') {
		host[n_host - 1] = '\0';
		return parse_in6(host + 1, (uint16_t)port, ret_addr);
	}
	return parse_in(host, (uint16_t)port, ret_addr);
}

/* "%eth0", or "%7" for an interface that is gone, or nothing. */
static void format_scope(uint32_t scope, char text[1 + IF_NAMESIZE])
{
	text[0] = '\0';
	if (scope == 0)
		return;
	text[0] = '%';
	if (if_indextoname(scope, text + 1) == NULL)
		snprintf(text + 1, IF_NAMESIZE, "%u", scope);
}

int volley_addr_format(const struct volley_addr *addr, char *text, size_t n_text)
{
	char host[INET6_ADDRSTRLEN], scope[1 + IF_NAMESIZE];
	unsigned int port = volley_addr_get_port(addr);
	int n;

	if (addr == NULL || (text == NULL && n_text > 0))
		return -EINVAL;
	if (addr->len == sizeof addr->in && addr->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &addr->in.sin_addr, host, sizeof host);
		n = snprintf(text, n_text, "%s:%u", host, port);
	} else if (addr->len == sizeof addr->in6 && addr->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &addr->in6.sin6_addr, host, sizeof host);
		format_scope(addr->in6.sin6_scope_id, scope);
		n = snprintf(text, n_text, "[%s%s]:%u", host, scope, port);
	} else {
		return -EAFNOSUPPORT;
	}
	return (size_t)n < n_text ? n : -ENOSPC;
}

uint16_t volley_addr_get_port(const struct volley_addr *addr)
{
	if (addr == NULL)
		return 0;
	if (addr->len == sizeof addr->in && addr->sa.sa_family == AF_INET)
		return ntohs(addr->in.sin_port);
	if (addr->len == sizeof addr->in6 && addr->sa.sa_family == AF_INET6)
		return ntohs(addr->in6.sin6_port);
	return 0;
}

bool volley_addr_is_equal(const struct volley_addr *a, const struct volley_addr *b)
{
	return a != NULL && b != NULL && vly_addr_is_equal(a, b);
}

/*
 * What vly_addr_is_equal() compares, and nothing else: of an address that the kernel or a program
 * wrote, the rest (sin_zero, sin6_flowinfo) may be anything.
 */
uint64_t volley_addr_hash(const struct volley_addr *addr, const uint64_t key[2])
{
	uint64_t words[3] = { 0 };

	if (addr == NULL || key == NULL)
		return 0;
	words[0] = (uint64_t)addr->sa.sa_family << 16 | addr->in.sin_port;
	if (addr->sa.sa_family == AF_INET) {
		words[0] |= (uint64_t)addr->in.sin_addr.s_addr << 32;
		return vly_siphash_hash(key, words, 1);
	}
	words[0] |= (uint64_t)addr->in6.sin6_scope_id << 32;
	memcpy(&words[1], &addr->in6.sin6_addr, sizeof addr->in6.sin6_addr);
	return vly_siphash_hash(key, words, 3);
}

int volley_addr_unmap(const struct volley_addr *addr, struct volley_addr *ret_addr)
{
	struct volley_addr in = { .len = sizeof in.in };

	if (addr == NULL || ret_addr == NULL)
		return -EINVAL;
	if (addr->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr)) {
		in = *addr;
	} else {
		in.in.sin_family = AF_INET;
		in.in.sin_port = addr->in6.sin6_port;
		memcpy(&in.in.sin_addr, &addr->in6.sin6_addr.s6_addr[12], sizeof in.in.sin_addr);
	}
	*ret_addr = in;
	return 0;
}

bool volley_addr_is_multicast(const struct volley_addr *addr)
{
	struct volley_addr own;

	if (volley_addr_unmap(addr, &own) < 0)
		return false;
	if (own.sa.sa_family == AF_INET)
		return IN_MULTICAST(ntohl(own.in.sin_addr.s_addr));
	return own.sa.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&own.in6.sin6_addr);
}

int vly_addr_convert(const struct volley_addr *addr, int family, struct volley_addr *ret_addr)
{
	if (addr->sa.sa_family == family && (family == AF_INET || family == AF_INET6)) {
		*ret_addr = *addr;
		return 0;
	}
	if (addr->sa.sa_family != AF_INET || family != AF_INET6)
		return -EINVAL;
	*ret_addr = (struct volley_addr){ .len = sizeof ret_addr->in6 };
	ret_addr->in6.sin6_family = AF_INET6;
	ret_addr->in6.sin6_port = addr->in.sin_port;
	ret_addr->in6.sin6_addr.s6_addr[10] = 0xff;
	ret_addr->in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&ret_addr->in6.sin6_addr.s6_addr[12], &addr->in.sin_addr, 4);
	return 0;
}
