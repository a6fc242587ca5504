/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_CAST_H
#define VLY_SYS_CAST_H

/*
 * What goes to more than one: multicast groups and broadcast addresses. Functions return 0 or
 * -errno where nothing else is said.
 */

#include <stdbool.h>

#include <volley/addr.h>

/*
 * Whether it is a broadcast address of one of this machine's links, or of all of them. Asks the
 * routing table: for setting up, not for datagrams.
 */
bool vly_cast_is_broadcast(const struct volley_addr *addr);

/*
 * Whether a socket gets the datagrams of every group that anybody on this machine has joined, or of
 * those only that it has joined itself (IP_MULTICAST_ALL, Linux 2.6.31; IPV6_MULTICAST_ALL, 4.20).
 * The link's own groups, such as ff02::1, count as joined by somebody. An AF_INET6 socket has both
 * options, and IPv4's is off there until it is set. `in6` is for AF_INET6 only.
 */
int vly_cast_set_all(int fd, int family, bool in, bool in6);

/* Whether what the socket sends to groups reaches this machine as well; on until it is set. */
int vly_cast_set_loop(int fd, int family, bool on);

/*
 * Join or leave a multicast group (RFC 3678). IPv4 groups are not mapped, and an AF_INET6 socket
 * takes those of both families. `source` is of the group's family, or NULL for all sources; leaving
 * without one leaves every source. ifindex 0: the system chooses by its routes, or leaves the first
 * that fits, of IPv4 groups by its routes too.
 *
 * 0; -EADDRINUSE joined already; -EADDRNOTAVAIL not joined; -ENODEV no such interface; -ENOBUFS too
 * many; -EINVAL where sources are blocked; another -errno of a system that does not know the
 * option.
 */
int vly_cast_join(int fd, const struct volley_addr *group, const struct volley_addr *source,
		  uint32_t ifindex);
int vly_cast_leave(int fd, const struct volley_addr *group, const struct volley_addr *source,
		   uint32_t ifindex);

#endif
