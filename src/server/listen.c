/* SPDX-License-Identifier: MIT */

/*
 * Listening on an address: with the sockets of the process before us, where it handed some over,
 * and else with new ones.
 *
 * Two listeners of one server may have a port in common, and one of them a part of what the other
 * has: 0.0.0.0 or 127.0.0.1 beside [::]. The kernel gives each datagram to the one that names its
 * destination more closely, but binds the second only if both have SO_REUSEPORT by then. The first
 * has it (vly_socket_bind()), so the second must get it before. That lets in others of this user
 * who do the same, so it is done beside our own only. [::] behind 0.0.0.0 simply leaves IPv4 to it.
 */

#include <errno.h>

#include "base/log.h"
#include "server/config.h"
#include "server/handover/import.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "server/needs.h"
#include "sys/addr.h"

/*
 * One address twice stays an error: they would share its datagrams by chance. On two interfaces it
 * is two.
 */
static bool is_beside(const struct volley_server *server, const struct vly_bound *bound)
	VLY_REQUIRES(server->listening)
{
	const struct vly_bounds *own = vly_own_get_bounds(&server->shared.own);

	if (vly_bounds_has_same(own, bound))
		return false;
	return vly_bounds_has_overlap(own, bound) || vly_import_has_overlap(server, bound);
}

static int open_and_add(struct volley_server *server, struct vly_listener *listener,
			const struct volley_addr *addr) VLY_REQUIRES(server->listening)
{
	const struct vly_bounds *own = vly_own_get_bounds(&server->shared.own);
	uint32_t *flags = &listener->config.flags;
	bool is_one = *flags & VOLLEY_LISTEN_ONE_SOCKET;
	struct vly_bound bound = { .addr = *addr };
	int r;

	if (!vly_addr_is_ipv4(addr) && vly_bounds_has_wildcard4(own, addr->in6.sin6_port))
		*flags |= VOLLEY_LISTEN_V6ONLY;
	bound.v6only = *flags & VOLLEY_LISTEN_V6ONLY;
	bound.device_index = vly_listener_pick_device(addr, listener->device_index);
	r = vly_listener_open(listener, addr, is_beside(server, &bound),
			      is_one ? 1 : server->shared.config.n_workers);
	if (r < 0)
		return r;
	r = vly_listeners_add(server, listener);
	if (r < 0)
		vly_listener_close_fds(listener);
	return r;
}

static int listen_new(struct volley_server *server, const struct volley_addr *addr,
		      const struct volley_listen_config *config) VLY_REQUIRES(server->listening)
{
	struct vly_listener *listener;
	int r = vly_listeners_new(server, config, &listener);

	if (r < 0)
		return r;
	if (listener->config.flags & VOLLEY_LISTEN_KEEP_SOCKETS) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "listen: VOLLEY_LISTEN_KEEP_SOCKETS is for adopted sockets; those "
			      "that are opened here are nobody else's");
		r = -EINVAL;
	}
	if (r >= 0)
		r = open_and_add(server, listener, addr);
	if (r >= 0)
		return (int)listener->index;
	vly_listener_free(listener);
	return r;
}

/* ":7777" is every address that there is: IPv4's where this system has no IPv6. */
static int choose_family(const struct volley_server *server, const char *text,
			 const struct volley_listen_config *config, struct volley_addr *addr)
{
	struct volley_addr in = { .len = sizeof in.in };
	struct volley_listen_config own;
	int r;

	if ((text[0] != ':' && text[0] != '*') || server->probe.errors[VLY_PROBE_IPV6] >= 0)
		return 0;
	r = vly_config_read_listen(&server->shared.config, config, &own);
	if (r < 0 || (own.flags & VOLLEY_LISTEN_V6ONLY))
		return r;
	in.in.sin_family = AF_INET;
	in.in.sin_port = addr->in6.sin6_port;
	*addr = in;
	vly_log_write(&server->shared.config, VOLLEY_LOG_INFO,
		      "this system has no IPv6: \"%s\" is 0.0.0.0 here", text);
	return 0;
}

static void tell_address(const struct volley_server *server, const char *address, int error)
{
	const struct volley_config *config = &server->shared.config;

	if (error == -EINVAL)
		vly_log_write(
			config, VOLLEY_LOG_ERROR,
			"\"%s\" is not an address to listen on: write 127.0.0.1:7777, [::1]:7777, "
			"0.0.0.0:7777, [::]:7777 for IPv4 and IPv6, or :7777 for what there is",
			address);
	else
		vly_log_write(config, VOLLEY_LOG_ERROR, "cannot listen on %s: %s", address,
			      vly_needs_get_interface_text(error));
}

int volley_server_listen(struct volley_server *server, const char *address,
			 const struct volley_listen_config *config,
			 struct volley_listener *ret_listener)
{
	struct volley_addr addr;
	int r;

	if (!vly_listeners_lock(server, &r))
		return r;
	if (address == NULL)
		address = "";
	r = volley_addr_parse(address, &addr);
	if (r < 0)
		tell_address(server, address, r);
	if (r >= 0)
		r = choose_family(server, address, config, &addr);
	if (r >= 0)
		r = vly_import_listen(server, &addr, config);
	if (r == -ENOENT)
		r = listen_new(server, &addr, config);
	vly_log_write_memory(&server->shared.config, "listen", r);
	if (r >= 0 && ret_listener != NULL)
		ret_listener->id = vly_listeners_get(server, (uint32_t)r)->id;
	vly_listeners_unlock(server);
	return r < 0 ? r : 0;
}
