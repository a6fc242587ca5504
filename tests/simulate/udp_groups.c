/* SPDX-License-Identifier: MIT */

/* Groups that a socket has joined. */

#include "udp_inner.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "sys/addr.h"

enum { N_INTERFACES = 3, FIRST_LINK = 2 };

bool udp_is_group_option(int level, int name)
{
	return (level == IPPROTO_IP || level == IPPROTO_IPV6) &&
	       (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP ||
		name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_LEAVE_SOURCE_GROUP);
}

static bool is_same(const struct volley_addr *a, const struct volley_addr *b)
{
	return a->sa.sa_family == b->sa.sa_family && vly_addr_is_same_host(a, b);
}

/* For a source, or without one: that of all. */
static struct membership *find(struct udp *udp, const struct membership *like)
{
	for (uint32_t i = 0; i < udp->n_groups; i++) {
		struct membership *at = &udp->groups[i];

		if (is_same(&at->group, &like->group) && at->ifindex == like->ifindex &&
		    (like->source.len == 0 || is_same(&at->source, &like->source)))
			return at;
	}
	return NULL;
}

static int join(struct udp *udp, const struct membership *wanted)
{
	if (find(udp, wanted) != NULL)
		return wanted->source.len == 0 ? -EADDRINUSE : -EADDRNOTAVAIL;
	if (udp->n_groups == N_GROUPS)
		return -ENOBUFS;
	udp->groups[udp->n_groups++] = *wanted;
	return 0;
}

static int leave(struct udp *udp, const struct membership *wanted)
{
	struct membership *found = find(udp, wanted);

	if (found == NULL)
		return wanted->source.len == 0 ? -EADDRNOTAVAIL : -EINVAL;
	for (; found != NULL; found = find(udp, wanted))
		*found = udp->groups[--udp->n_groups];
	return 0;
}

int udp_set_group(struct udp *udp, int name, const void *value, socklen_t n)
{
	struct membership wanted = { .ifindex = 0 };
	struct group_source_req request;

	if (n > sizeof request || n < sizeof(struct group_req))
		return -EINVAL;
	memset(&request, 0, sizeof request);
	memcpy(&request, value, n); /* a struct group_req is the beginning of it */
	wanted.ifindex = request.gsr_interface != 0 ? request.gsr_interface : FIRST_LINK;
	wanted.group = udp_read_addr((const struct sockaddr *)(const void *)&request.gsr_group,
				     sizeof wanted.group.in6);
	if (name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_LEAVE_SOURCE_GROUP)
		wanted.source = udp_read_addr(
			(const struct sockaddr *)(const void *)&request.gsr_source,
			sizeof wanted.source.in6);
	if (wanted.ifindex > N_INTERFACES)
		return -ENODEV;
	return name == MCAST_JOIN_GROUP || name == MCAST_JOIN_SOURCE_GROUP ? join(udp, &wanted)
									   : leave(udp, &wanted);
}

bool udp_is_member(struct udp *udp, const struct packet *packet, bool *ret_is_wanted)
{
	struct membership any = { .group = packet->to, .ifindex = packet->ifindex };
	const struct membership *found = find(udp, &any);
	struct membership one = any;

	one.source = packet->from;
	*ret_is_wanted = found != NULL && (found->source.len == 0 || find(udp, &one) != NULL);
	return found != NULL;
}
