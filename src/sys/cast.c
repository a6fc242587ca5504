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

static void put(struct sockaddr_storage *to, const struct volley_addr *addr)
{
	memcpy(to, addr, addr->sa.sa_family == AF_INET ? sizeof addr->in : sizeof addr->in6);
}

static int set_group(int fd, int name, const struct volley_addr *group, uint32_t ifindex)
{
	struct group_req request = { .gr_interface = ifindex };
	bool is4 = group->sa.sa_family == AF_INET;

	put(&request.gr_group, group);
	return setsockopt(fd, is4 ? IPPROTO_IP : IPPROTO_IPV6, name, &request, sizeof request) < 0
		       ? -errno
		       : 0;
}

static int set_source(int fd, int name, const struct volley_addr *group,
		      const struct volley_addr *source, uint32_t ifindex)
{
	struct group_source_req request = { .gsr_interface = ifindex };
	bool is4 = group->sa.sa_family == AF_INET;

	put(&request.gsr_group, group);
	put(&request.gsr_source, source);
	return setsockopt(fd, is4 ? IPPROTO_IP : IPPROTO_IPV6, name, &request, sizeof request) < 0
		       ? -errno
		       : 0;
}

/*
 * The kernel says EADDRNOTAVAIL of a source that is there already, and of IPv6's limit, which is
 * the memory for options, ENOMEM.
 */
int vly_cast_join(int fd, const struct volley_addr *group, const struct volley_addr *source,
		  uint32_t ifindex)
{
	int r = source == NULL ? set_group(fd, MCAST_JOIN_GROUP, group, ifindex)
			       : set_source(fd, MCAST_JOIN_SOURCE_GROUP, group, source, ifindex);

	if (r == -EADDRNOTAVAIL)
		return -EADDRINUSE;
	return r == -ENOMEM ? -ENOBUFS : r;
}

/* And EINVAL of a source whose group is not joined, or is joined for all sources. */
int vly_cast_leave(int fd, const struct volley_addr *group, const struct volley_addr *source,
		   uint32_t ifindex)
{
	int r = source == NULL ? set_group(fd, MCAST_LEAVE_GROUP, group, ifindex)
			       : set_source(fd, MCAST_LEAVE_SOURCE_GROUP, group, source, ifindex);

	return r == -EINVAL ? -EADDRNOTAVAIL : r;
}
