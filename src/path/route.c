/* SPDX-License-Identifier: MIT */

/* The addresses of a send, as the listener's sockets want them. */

#include "path/route.h"

#include <errno.h>

#include <volley/send.h>

#include "base/opts.h"
#include "data/buffers.h"
#include "path/packet.h"
#include "sys/addr.h"

/* What the first release has; it never changes. */
enum { MIN_OPTIONS_BYTES = 32 };

static_assert(sizeof(struct volley_send_options) == MIN_OPTIONS_BYTES, "no other is released");

int vly_route_read_options(const struct volley_send_options *options,
			   struct volley_send_options *ret_options)
{
	const uint32_t flags = VOLLEY_SEND_TOS | VOLLEY_SEND_TTL | VOLLEY_SEND_IF_ROOM;

	if (vly_opts_read(ret_options, sizeof *ret_options, MIN_OPTIONS_BYTES, options) < 0)
		return -EINVAL;
	if ((ret_options->flags & ~flags) || ret_options->tos > 255 || ret_options->ttl > 255)
		return -EINVAL;
	return 0;
}

/* What listens on all addresses of both families sends to both, and all else to its own. */
static bool suits(const struct vly_listener *listener, const struct volley_addr *peer)
{
	if (vly_addr_is_ipv4(peer) == vly_addr_is_ipv4(&listener->addr))
		return true;
	return listener->wildcard && !vly_addr_is_ipv4(&listener->addr) &&
	       !(listener->config.flags & VOLLEY_LISTEN_V6ONLY);
}

/* The kernel takes 0 for a hop limit, and not for a TTL. */
static int set_header(const struct volley_send_options *options, struct vly_route *route)
{
	route->header = route->local.len > 0 ? VLY_CMSG_HEADER_LOCAL : 0;
	route->if_room = options->flags & VOLLEY_SEND_IF_ROOM;
	if (options->flags & VOLLEY_SEND_TOS)
		route->header |= VLY_CMSG_HEADER_TOS | options->tos;
	if (options->flags & VOLLEY_SEND_TTL)
		route->header |= VLY_CMSG_HEADER_TTL | options->ttl << VLY_CMSG_HEADER_TTL_SHIFT;
	return (options->flags & VOLLEY_SEND_TTL) && options->ttl == 0 &&
			       vly_addr_is_ipv4(&route->peer)
		       ? -EINVAL
		       : 0;
}

/*
 * By an interface, from the listener's address: the kernel takes one with the other, and chooses
 * itself where `local` is 0. It does so for those that have no address to send from.
 */
static void set_own(const struct vly_listener *listener, const struct volley_addr *peer,
		    struct volley_addr *local)
{
	static const struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (!listener->wildcard && !listener->is_cast) {
		*local = listener->addr;
		return;
	}
	*local = (struct volley_addr){ .len = peer->len };
	local->sa.sa_family = peer->sa.sa_family;
	if (peer->sa.sa_family == AF_INET6 && vly_addr_is_ipv4(peer))
		local->in6.sin6_addr = mapped;
}

static int find(const struct vly_listener *listener, const struct volley_addr *peer,
		const struct volley_send_options *options, struct vly_route *ret_route)
{
	int family = listener->addr.sa.sa_family;
	struct volley_addr *local = &ret_route->local;

	local->len = 0;
	if (vly_addr_convert(peer, family, &ret_route->peer) < 0 ||
	    !suits(listener, &ret_route->peer))
		return -EINVAL;
	if (options->local != NULL &&
	    (vly_addr_convert(options->local, family, local) < 0 ||
	     vly_addr_is_ipv4(local) != vly_addr_is_ipv4(&ret_route->peer)))
		return -EINVAL;
	local->in.sin_port = listener->addr.in.sin_port;
	ret_route->ifindex = options->interface_index;
	if (ret_route->ifindex == 0 && local->len == sizeof local->in6 &&
	    vly_addr_is_link_local(local))
		ret_route->ifindex = local->in6.sin6_scope_id;
	ret_route->is_refused = vly_packet_is_refused(&ret_route->peer, &listener->addr) ||
				(local->len > 0 && vly_packet_is_refused(&ret_route->peer, local));
	ret_route->may_be_own = listener->wildcard &&
				peer->in.sin_port == listener->addr.in.sin_port;
	/* Our group is not ourselves; the port of `listener->addr` is never 0. */
	if (listener->is_cast && vly_addr_is_equal(&ret_route->peer, &listener->addr))
		ret_route->is_refused = false;
	if (ret_route->ifindex != 0 && local->len == 0)
		set_own(listener, &ret_route->peer, local);
	return set_header(options, ret_route);
}

int vly_route_find(const struct vly_listener *listener, const struct volley_addr *peer,
		   const struct volley_send_options *options, struct vly_route *ret_route)
{
	struct volley_send_options own;

	if (vly_route_read_options(options, &own) < 0)
		return -EINVAL;
	return find(listener, peer, &own, ret_route);
}

int vly_route_find_reply(const struct vly_listener *listener, const struct volley_addr *peer,
			 const struct volley_addr *local, uint32_t ifindex,
			 const struct volley_send_options *options, struct vly_route *ret_route)
{
	struct volley_send_options own;

	if (vly_route_read_options(options, &own) < 0)
		return -EINVAL;
	if (own.local == NULL && local != NULL) {
		own.local = local;
		if (own.interface_index == 0)
			own.interface_index = ifindex;
	}
	return find(listener, peer, &own, ret_route);
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
		       const struct volley_addr *peer, const struct volley_send_options *options,
		       struct vly_route *ret_route)
{
	int r;

	vly_lock_take(&worker->shared->lock);
	r = vly_route_find_sock(worker, listener, ret_route);
	if (r >= 0)
		r = vly_route_find(vly_socks_find_first(&worker->socks, listener)->listener, peer,
				   options, ret_route);
	vly_lock_give(&worker->shared->lock);
	if (r >= 0)
		vly_route_check_own(worker, ret_route);
	return r;
}

void vly_route_keep(const struct vly_route *route, struct vly_buffer *buffer)
{
	buffer->peer = route->peer;
	vly_buffer_set_way(buffer, route->header, &route->local, route->ifindex);
	buffer->sock = NULL; /* whoever sends looks for it */
	buffer->sock_index = route->sock_index;
	buffer->sock_serial = route->sock_serial;
}
