/* SPDX-License-Identifier: MIT */

/* The addresses of a send, as the listener's sockets want them. */

#include "path/route.h"

#include <errno.h>

#include "path/packet.h"

int vly_route_find(const struct volley_listener *listener, const struct volley_addr *peer,
		   const struct volley_addr *local, struct vly_route *ret_route)
{
	int family = listener->addr.sa.sa_family;

	ret_route->local.len = 0;
	if (vly_addr_convert(peer, family, &ret_route->peer) < 0)
		return -EINVAL;
	if (local != NULL && vly_addr_convert(local, family, &ret_route->local) < 0)
		return -EINVAL;
	ret_route->local.in.sin_port = listener->addr.in.sin_port;
	ret_route->ifindex = 0;
	if (ret_route->local.len == sizeof ret_route->local.in6 &&
	    vly_addr_is_link_local(&ret_route->local))
		ret_route->ifindex = ret_route->local.in6.sin6_scope_id;
	ret_route->is_refused = vly_packet_is_refused(
		&ret_route->peer, ret_route->local.len > 0 ? &ret_route->local : &listener->addr);
	return 0;
}
