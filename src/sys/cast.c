/* SPDX-License-Identifier: MIT */

/*
 * Multicast and broadcast. An AF_INET6 socket speaks IPv4 too, to mapped peers, so it has the
 * options of both families.
 */

#include "sys/cast.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "sys/raw.h"
#include "sys/socket.h"

/*
 * A socket that was not told to may not be connected to a broadcast address: EACCES
 * (net/ipv4/datagram.c). So is an address to which a route says `prohibit`, which is then taken for
 * a broadcast. Nothing is sent.
 */
bool vly_cast_is_broadcast(const struct volley_addr *addr)
{
	struct volley_addr to;
	bool is;
	int fd;

	if (volley_addr_unmap(addr, &to) < 0 || to.sa.sa_family != AF_INET ||
	    to.in.sin_addr.s_addr == htonl(INADDR_ANY))
		return false;
	if (to.in.sin_addr.s_addr == htonl(INADDR_BROADCAST))
		return true;
	to.in.sin_port = htons(9); /* any will do (RFC 863) */
	fd = vly_socket_open(AF_INET, false);
	if (fd < 0)
		return false;
	is = vly_raw_connect(fd, &to.sa, to.len) == -EACCES;
	vly_socket_close(fd);
	return is;
}

int vly_cast_set_all(int fd, int family, bool in, bool in6)
{
	int r = vly_socket_set_int(fd, IPPROTO_IP, IP_MULTICAST_ALL, in);
	int r6 = family == AF_INET6 ? vly_socket_set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, in6)
				    : 0;

	return r < 0 ? r : r6;
}

int vly_cast_set_loop(int fd, int family, bool on)
{
	int r = vly_socket_set_int(fd, IPPROTO_IP, IP_MULTICAST_LOOP, on);
	int r6 = family == AF_INET6 ? vly_socket_set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, on)
				    : 0;

	return r < 0 ? r : r6;
}
