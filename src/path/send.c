/* SPDX-License-Identifier: MIT */

/*
 * Datagrams that answer nothing. A worker's own thread puts them with its answers, into the same
 * arena and the same flush; any other thread hands a copy to one worker (remote.c), always the
 * same for one peer, so that what a thread sends to a peer keeps its order.
 */

#include <errno.h>
#include <string.h>

#include <volley/send.h>

#include "path/outbox.h"
#include "path/packet.h"
#include "path/remote.h"
#include "path/reply.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/addr.h"

/* Where a datagram goes and where it leaves from. */
struct route {
	struct volley_addr peer;
	struct volley_addr local; /* len 0: the socket's own */
	bool refused;
};

static int find_route(const struct volley_listener *listener, const struct volley_addr *peer,
		      const struct volley_addr *local, struct route *ret_route)
{
	int family = listener->addr.sa.sa_family;

	ret_route->local.len = 0;
	if (vly_addr_convert(peer, family, &ret_route->peer) < 0)
		return -EINVAL;
	if (local != NULL && vly_addr_convert(local, family, &ret_route->local) < 0)
		return -EINVAL;
	ret_route->local.in.sin_port = listener->addr.in.sin_port;
	ret_route->refused = vly_packet_is_refused(
		&ret_route->peer, ret_route->local.len > 0 ? &ret_route->local : &listener->addr);
	return 0;
}

/* The worker's own thread ---------------------------------------------------------------------- */

/* The addresses stand in front of the payload, in the same room of the arena. */
static int send_own(struct volley_worker *worker, uint32_t n_listener, const struct route *route,
		    const void *data, uint32_t len)
{
	struct route *copy = vly_reply_get_room(worker, (uint32_t)sizeof *copy + len);
	struct vly_tx *tx;

	if (copy == NULL)
		return -ENOBUFS;
	*copy = *route;
	if (len > 0)
		memcpy(copy + 1, data, len);
	tx = vly_outbox_new(worker);
	tx->data = (const uint8_t *)(copy + 1);
	tx->len = len;
	tx->peer = &copy->peer;
	tx->local = copy->local.len > 0 ? &copy->local : NULL;
	tx->ifindex = 0;
	tx->listener = (uint16_t)n_listener;
	return 0;
}

int volley_worker_send(struct volley_worker *worker, uint32_t n_listener,
		       const struct volley_addr *peer, const struct volley_addr *local,
		       const void *data, size_t len)
{
	struct volley_stats *counts = &worker->counts;
	struct route route;
	int r;

	if (n_listener >= worker->n_ports || worker->ports[n_listener].fd < 0 ||
	    find_route(worker->ports[n_listener].listener, peer, local, &route) < 0)
		return -EINVAL;
	counts->tx_requested++;
	if (len > VLY_MAX_PAYLOAD) {
		counts->tx_dropped[VOLLEY_TX_EMSGSIZE]++;
		return -EMSGSIZE;
	}
	if (route.refused) {
		counts->tx_dropped[VOLLEY_TX_REFUSED]++;
		return -EINVAL;
	}
	r = send_own(worker, n_listener, &route, data, (uint32_t)len);
	if (r < 0)
		counts->tx_dropped[VOLLEY_TX_NO_BUFFER]++;
	return r;
}

/* Other threads -------------------------------------------------------------------------------- */

/*
 * The worker that sends to a peer through a listener, the same one each time; one without a socket
 * of that listener is passed over. NULL: none has one.
 */
static struct volley_worker *choose(struct volley_server *server, uint32_t n_listener,
				    const struct volley_addr *peer)
{
	uint32_t n = server->config.n_workers;
	uint32_t first = vly_addr_pick(peer, n);

	for (uint32_t i = 0; i < n; i++) {
		struct volley_worker *worker = &server->workers[(first + i) % n];

		if (worker->ports[n_listener].fd >= 0)
			return worker;
	}
	return NULL;
}

/* Who sends it and how; under the server's lock, because listeners come and go. */
static int address(struct volley_server *server, uint32_t n_listener,
		   const struct volley_addr *peer, const struct volley_addr *local,
		   struct route *ret_route, struct volley_worker **ret_worker)
{
	int r = 0;

	vly_lock_take(&server->lock);
	if (server->state != VLY_SERVER_RUNNING)
		r = -ESHUTDOWN;
	else if (n_listener >= server->n_listeners || server->listeners[n_listener] == NULL)
		r = -EINVAL;
	else
		r = find_route(server->listeners[n_listener], peer, local, ret_route);
	if (r >= 0) {
		*ret_worker = choose(server, n_listener, &ret_route->peer);
		r = *ret_worker == NULL ? -EINVAL : 0;
	}
	vly_lock_give(&server->lock);
	return r;
}

/* With the worker's lock. */
static int send_locked(struct volley_worker *worker, uint32_t n_listener, const struct route *route,
		       const void *data, size_t len)
{
	struct vly_remote *remote = &worker->remote;
	struct vly_buffer *buffer = NULL;

	if (!remote->open)
		return -ESHUTDOWN;
	if (len > VLY_MAX_PAYLOAD)
		return vly_remote_refuse(remote, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (route->refused)
		return vly_remote_refuse(remote, VOLLEY_TX_REFUSED, -EINVAL);
	if (remote->n_sending < worker->server->config.n_backlog)
		buffer = vly_buffers_get(remote->buffers, (uint32_t)len);
	if (buffer == NULL)
		return vly_remote_refuse(remote, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	buffer->peer = route->peer;
	buffer->info.local = route->local;
	buffer->info.ifindex = 0;
	buffer->listener = (uint16_t)n_listener;
	vly_remote_post(worker, buffer, data, (uint32_t)len);
	return 0;
}

int volley_server_send(struct volley_server *server, uint32_t n_listener,
		       const struct volley_addr *peer, const struct volley_addr *local,
		       const void *data, size_t len)
{
	struct volley_worker *worker;
	struct route route;
	int r = address(server, n_listener, peer, local, &route, &worker);

	if (r < 0)
		return r;
	vly_lock_take(&worker->remote.lock);
	r = send_locked(worker, n_listener, &route, data, len);
	vly_lock_give(&worker->remote.lock);
	return r;
}
