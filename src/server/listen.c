/* SPDX-License-Identifier: MIT */

/*
 * Listening on an address: with the sockets of the process before us, where it handed some over,
 * and else with new ones.
 */

#include <errno.h>

#include "base/log.h"
#include "server/handover/import.h"
#include "server/listener.h"
#include "server/listeners.h"

/* [::] next to 0.0.0.0 on one port must leave IPv4 to the other. */
static bool needs_v6only(const struct volley_server *server, const struct volley_addr *addr)
{
	if (addr->sa.sa_family != AF_INET6 || volley_addr_get_port(addr) == 0)
		return false;
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		const struct volley_listener *other = vly_listeners_get(server, i);

		if (other != NULL && other->wildcard && other->addr.sa.sa_family == AF_INET &&
		    other->addr.in.sin_port == addr->in6.sin6_port)
			return true;
	}
	return false;
}

static int open_and_add(struct volley_server *server, struct volley_listener *listener,
			const struct volley_addr *addr) VLY_REQUIRES(server->listening)
{
	bool v6only = (listener->config.flags & VOLLEY_LISTEN_V6ONLY) || needs_v6only(server, addr);
	int r = vly_listener_open(listener, addr, v6only, server->shared.config.n_workers);

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
	struct volley_listener *listener;
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

int volley_server_listen(struct volley_server *server, const char *address,
			 const struct volley_listen_config *config)
{
	struct volley_addr addr;
	int r;

	if (!vly_listeners_lock(server, &r))
		return r;
	r = volley_addr_parse(address, &addr);
	if (r < 0)
		vly_log_write(
			&server->shared.config, VOLLEY_LOG_ERROR,
			"\"%s\" is not an address to listen on: write 127.0.0.1:7777, [::1]:7777, "
			"0.0.0.0:7777, or [::]:7777 for IPv4 and IPv6",
			address);
	if (r >= 0)
		r = vly_import_listen(server, &addr, config);
	if (r == -ENOENT)
		r = listen_new(server, &addr, config);
	vly_listeners_unlock(server);
	return r;
}
