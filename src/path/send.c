/* SPDX-License-Identifier: MIT */

/*
 * Datagrams that reply to nothing. From the worker's own thread they go with its replies, into the
 * same arena and the same flush. Those of other threads go through handler.c or remote.c;
 * volley_worker_send() (worker/access.c) tells which.
 */

#include "path/send.h"

#include <errno.h>
#include <string.h>

#include <volley/send.h>

#include "base/compiler.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/remote.h"
#include "path/route.h"

/* Rounded up, together with a payload that the smallest arena has just room for. */
static_assert(sizeof(struct vly_route) + 16 <= VLY_SEND_ROOM_BYTES, "for the addresses");

/*
 * The addresses stand in the arena, in front of the payload. A payload that stands in a room there
 * stays where it is.
 */
static int add(struct volley_worker *worker, const struct vly_sock *sock,
	       const struct vly_route *route, const void *data, uint32_t len)
{
	bool stays = len > 0 && vly_arena_take(&worker->arena, data, len);
	struct vly_route *copy = vly_outbox_get_room(worker,
						     (uint32_t)sizeof *copy + (stays ? 0 : len));
	struct vly_tx *tx = copy != NULL ? vly_outbox_new(worker) : NULL;

	if (tx == NULL)
		return -ENOBUFS;
	if (!stays && len > 0) /* may overlap: out of a room whose rest was given back */
		memmove(copy + 1, data, len);
	*copy = *route;
	tx->data = stays ? data : (const uint8_t *)(copy + 1);
	tx->len = len;
	tx->peer = &copy->peer;
	tx->local = &copy->local;
	tx->ifindex = copy->ifindex;
	tx->header = copy->header;
	tx->sock_index = sock->index;
	return 0;
}

static int refuse(struct volley_worker *worker, enum volley_tx_drop reason, uint32_t n, int error)
{
	vly_ledger_drop_tx(&worker->books, reason, n);
	return error;
}

static int request(struct volley_worker *worker, const struct vly_sock *sock,
		   const struct vly_route *route, const void *data, size_t len)
{
	vly_ledger_request_tx(&worker->books, 1);
	if (len > VLY_MAX_PAYLOAD)
		return refuse(worker, VOLLEY_TX_EMSGSIZE, 1, -EMSGSIZE);
	if (route->is_refused)
		return refuse(worker, VOLLEY_TX_REFUSED, 1, -EINVAL);
	if (add(worker, sock, route, data, (uint32_t)len) < 0)
		return refuse(worker, VOLLEY_TX_NO_BUFFER, 1, -ENOBUFS);
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

/* Each of them is one request, also one that no route leads to. */
static int request_many(struct volley_worker *worker, const struct vly_sock *sock,
			const struct volley_addr *peers, uint32_t n_peers,
			const struct volley_payload *payload,
			const struct volley_send_options *options)
{
	struct vly_route route;
	int n = 0;

	for (uint32_t i = 0; i < n_peers; i++) {
		if (vly_route_find(sock->listener, &peers[i], options, &route) < 0)
			route.is_refused = true;
		else
			vly_route_check_own(worker, &route);
		if (request(worker, sock, &route, payload->data, payload->len) >= 0)
			n++;
	}
	return n;
}

/*
 * The payload stands in a room, as if the callback had asked for one: so each of them finds it
 * there, whatever leaves meanwhile to make room for their addresses. What the room has more, the
 * first one gives back for its own.
 */
static int request_copied(struct volley_worker *worker, const struct vly_sock *sock,
			  const struct volley_addr *peers, uint32_t n_peers,
			  const struct volley_payload *payload,
			  const struct volley_send_options *options)
{
	struct vly_arena_kept kept = vly_arena_get_kept(&worker->arena);
	uint32_t len = (uint32_t)payload->len;
	uint32_t capacity;
	uint8_t *room = vly_outbox_open_room(worker, len + VLY_SEND_ROOM_BYTES, &capacity);
	int n;

	if (room == NULL) {
		vly_ledger_request_tx(&worker->books, n_peers);
		return refuse(worker, VOLLEY_TX_NO_BUFFER, n_peers, 0);
	}
	memcpy(room, payload->data, len);
	n = request_many(worker, sock, peers, n_peers, &(struct volley_payload){ room, len },
			 options);
	vly_arena_put_kept(&worker->arena, kept);
	return n;
}

int vly_send_add_many(struct volley_worker *worker, struct volley_listener listener,
		      const struct volley_addr *peers, uint32_t n_peers,
		      const struct volley_payload *payload,
		      const struct volley_send_options *options)
{
	struct vly_sock *sock = vly_socks_find_first(&worker->socks, listener);
	struct volley_send_options own;
	struct vly_account *before;
	int n;

	assert(vly_self_is_allowed(&worker->self));
	if (sock == NULL)
		return -ESTALE;
	if (vly_route_read_options(options, &own) < 0)
		return -EINVAL;
	if ((own.flags & VOLLEY_SEND_IF_ROOM) && vly_socks_request_room(sock))
		return -EAGAIN;
	before = vly_ledger_set_account(&worker->books, &sock->account);
	if (payload->len == 0 || payload->len > VLY_MAX_PAYLOAD ||
	    vly_arena_take(&worker->arena, payload->data, (uint32_t)payload->len))
		n = request_many(worker, sock, peers, n_peers, payload, &own);
	else
		n = request_copied(worker, sock, peers, n_peers, payload, &own);
	vly_ledger_set_account(&worker->books, before);
	return n;
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
