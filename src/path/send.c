/* SPDX-License-Identifier: MIT */

/*
 * Datagrams that reply to nothing. From the worker's own thread they go with its replies, into the
 * same arena and the same flush. Those of other threads go through handler.c or remote.c;
 * volley_worker_send() (worker/access.c) tells which.
 */

#include "path/send.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/remote.h"
#include "path/route.h"

/* Rounded up, together with a payload that the smallest arena has just room for. */
static_assert(sizeof(struct vly_route) + 16 <= VLY_SEND_ROOM_BYTES, "for the addresses");

/* The addresses stand in front of the payload, in the same room of the arena. */
static int add(struct volley_worker *worker, const struct vly_sock *sock,
	       const struct vly_route *route, const void *data, uint32_t len)
{
	struct vly_route *copy = vly_outbox_get_room(worker, (uint32_t)sizeof *copy + len);
	struct vly_tx *tx = copy != NULL ? vly_outbox_new(worker) : NULL;

	if (tx == NULL)
		return -ENOBUFS;
	if (len > 0) /* may overlap: out of a room whose rest was given back */
		memmove(copy + 1, data, len);
	*copy = *route;
	tx->data = (const uint8_t *)(copy + 1);
	tx->len = len;
	tx->peer = &copy->peer;
	tx->local = &copy->local;
	tx->ifindex = copy->ifindex;
	tx->header = copy->header;
	tx->sock_index = sock->index;
	return 0;
}

static int refuse(struct volley_worker *worker, enum volley_tx_drop reason, int error)
{
	vly_ledger_drop_tx(&worker->books, reason, 1);
	return error;
}

static int request(struct volley_worker *worker, const struct vly_sock *sock,
		   const struct vly_route *route, const void *data, size_t len)
{
	vly_ledger_request_tx(&worker->books, 1);
	if (len > VLY_MAX_PAYLOAD)
		return refuse(worker, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (route->is_refused)
		return refuse(worker, VOLLEY_TX_REFUSED, -EINVAL);
	if (add(worker, sock, route, data, (uint32_t)len) < 0)
		return refuse(worker, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	return 0;
}

int vly_send_add(struct volley_worker *worker, struct volley_listener listener,
		 const struct volley_addr *peer, const void *data, size_t len,
		 const struct volley_send_options *options)
{
	struct vly_sock *sock = vly_socks_find_first(&worker->socks, listener);
	struct vly_account *before;
	struct vly_route route;
	int r;

	assert(vly_self_is_allowed(&worker->self));
	if (sock == NULL)
		return -ESTALE;
	if (vly_route_find(sock->listener, peer, options, &route) < 0)
		return -EINVAL;
	if (route.if_room && vly_socks_request_room(sock))
		return -EAGAIN;
	vly_route_check_own(worker, &route);
	before = vly_ledger_set_account(&worker->books, &sock->account);
	r = request(worker, sock, &route, data, len);
	vly_ledger_set_account(&worker->books, before);
	return r;
}

int vly_send_reply(const struct volley_packet *packet, const struct vly_route *route,
		   const void *data, size_t len)
{
	struct volley_worker *worker = packet->worker;

	assert(vly_self_is_allowed(&worker->self));
	return request(worker, vly_packet_get_sock(packet), route, data, len);
}

/* A worker that does not run says so before it looks at anything else, as the server does. */
int vly_send_post(struct volley_worker *worker, struct volley_listener listener,
		  const struct volley_addr *peer, const void *data, size_t len,
		  const struct volley_send_options *options)
{
	struct vly_route route;
	int r = vly_route_find_all(worker, listener, peer, options, &route);

	if (r >= 0)
		return vly_remote_send(worker, &route, data, len);
	return vly_remote_is_open(worker) ? r : -ESHUTDOWN;
}
