/* SPDX-License-Identifier: MIT */

/* The addresses of a send, as the listener's sockets want them. */

#include "path/route.h"

#include <errno.h>

#include "data/buffers.h"
#include "path/packet.h"

int vly_route_find(const struct vly_listener *listener, const struct volley_addr *peer,
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
	ret_route->may_be_own = listener->wildcard &&
				peer->in.sin_port == listener->addr.in.sin_port;
	/* Our group is not ourselves; the port of `listener->addr` is never 0. */
	if (listener->is_cast && vly_addr_is_equal(&ret_route->peer, &listener->addr))
		ret_route->is_refused = false;
	return 0;
}

void vly_route_check_own(const struct volley_worker *worker, struct vly_route *route)
{
	if (route->may_be_own && vly_own_has(&worker->shared->own, &route->peer))
		route->is_refused = true;
}

int vly_route_find_sock(const struct volley_worker *worker, struct volley_listener listener,
			struct vly_route *route)
{
	const struct vly_sock *sock = vly_socks_find_first(&worker->socks, listener);

	if (sock == NULL || sock->fd < 0)
		return -ESTALE;
	route->sock_index = sock->index;
	route->sock_serial = sock->serial;
	return 0;
}

/* With the lock, for a listener is there as long as one of its sockets is. */
int vly_route_find_all(const struct volley_worker *worker, struct volley_listener listener,
		       const struct volley_addr *peer, const struct volley_addr *local,
		       struct vly_route *ret_route)
{
	int r;

	vly_lock_take(&worker->shared->lock);
	r = vly_route_find_sock(worker, listener, ret_route);
	if (r >= 0)
		r = vly_route_find(vly_socks_find_first(&worker->socks, listener)->listener, peer,
				   local, ret_route);
	vly_lock_give(&worker->shared->lock);
	if (r >= 0)
		vly_route_check_own(worker, ret_route);
	return r;
}

void vly_route_keep(const struct vly_route *route, struct vly_buffer *buffer)
{
	buffer->peer = route->peer;
	vly_buffer_set_local(buffer, route->local.len > 0 ? &route->local : NULL, route->ifindex);
	buffer->sock = NULL; /* whoever sends looks for it */
	buffer->sock_index = route->sock_index;
	buffer->sock_serial = route->sock_serial;
}
