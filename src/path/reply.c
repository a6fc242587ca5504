/* SPDX-License-Identifier: MIT */

/*
 * What a callback can do with a packet: reply to it, and ask how it came.
 *
 * A reply becomes a tx entry that points to its bytes. They stay where they are when that is the
 * packet's own memory (first reply only: a second could overwrite it) or a room of the arena;
 * anything else is copied into the arena now. Both belong to the volley, so nothing is kept beyond
 * the flush.
 */

#include <errno.h>
#include <string.h>

#include <volley/packet.h>
#include <volley/send.h>

#include "base/compiler.h"
#include "path/handler.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/route.h"
#include "path/send.h"

/* Where the reply's bytes stay until the flush: where they are, or in the arena. NULL: no room. */
static const uint8_t *place(struct volley_worker *worker, struct volley_packet *packet,
			    const uint8_t *data, uint32_t len)
{
	uintptr_t in_packet = (uintptr_t)data - (uintptr_t)packet->data;
	bool first = !(packet->internal & VLY_PACKET_REPLIED);
	uint8_t *copy;

	if (VLY_UNLIKELY(len == 0))
		return packet->data;
	if (first && in_packet < packet->capacity && len <= packet->capacity - in_packet)
		return data;
	if (vly_arena_take(&worker->arena, data, len))
		return data;
	copy = vly_outbox_get_room(worker, len);
	if (copy != NULL) /* may overlap: a second reply that is longer than the room's rest */
		memmove(copy, data, len);
	return copy;
}

static int refuse(struct volley_worker *worker, enum volley_tx_drop reason, int error)
{
	vly_ledger_drop_tx(&worker->books, reason, 1);
	return error;
}

static int add(struct volley_worker *worker, const struct volley_packet *packet,
	       const uint8_t *bytes, uint32_t len)
{
	struct vly_tx *tx = vly_outbox_add(worker);

	tx->data = bytes;
	tx->len = len;
	tx->peer = packet->peer;
	tx->sock_index = vly_packet_get_sock_index(worker);
	tx->header = 0;
	if (VLY_UNLIKELY(packet->internal & VLY_PACKET_LOCAL)) {
		tx->header = VLY_CMSG_HEADER_LOCAL;
		tx->local = packet->local;
		tx->ifindex = vly_packet_get_info(packet)->reply_ifindex;
	}
	return 0;
}

/* Whatever the common case below is not. */
static VLY_NOINLINE int reply_other(struct volley_packet *packet, const uint8_t *data, size_t len)
{
	struct volley_worker *worker = packet->worker;
	const uint8_t *bytes;

	assert(vly_self_is_allowed(&worker->self));
	if (len > VLY_MAX_PAYLOAD && data != NULL)
		return refuse(worker, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if ((data == NULL && len > 0) || vly_packet_has_bad_peer(packet))
		return refuse(worker, VOLLEY_TX_REFUSED, -EINVAL);
	/* Before the bytes have their place, for a flush may empty the arena. */
	if (vly_outbox_is_full(worker) && vly_outbox_is_flushing(worker))
		return refuse(worker, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	if (vly_outbox_is_full(worker))
		vly_outbox_flush(worker);
	bytes = place(worker, packet, data, (uint32_t)len);
	if (bytes == NULL)
		return refuse(worker, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	packet->internal |= VLY_PACKET_REPLIED;
	return add(worker, packet, bytes, (uint32_t)len);
}

/* The common case first, without a call: one reply in place, to somebody else's port. */
int volley_packet_reply(struct volley_packet *packet, const void *data, size_t len)
{
	struct volley_worker *worker;
	uintptr_t at;

	if (VLY_UNLIKELY(packet == NULL))
		return -EINVAL;
	worker = packet->worker;
	at = (uintptr_t)data - (uintptr_t)packet->data;
	if (VLY_UNLIKELY(packet->internal & VLY_PACKET_HANDLED))
		return vly_handler_reply(packet, data, len, NULL);
	vly_ledger_request_reply(&worker->books);
	if (VLY_UNLIKELY((packet->internal & VLY_PACKET_REPLIED) || at >= packet->capacity ||
			 len == 0 || len > packet->capacity - at || len > VLY_MAX_PAYLOAD ||
			 vly_own_has_bit(&worker->shared->own, packet->peer->in.sin_port) ||
			 vly_outbox_is_full(worker)))
		return reply_other(packet, data, len);
	packet->internal |= VLY_PACKET_REPLIED;
	return add(worker, packet, data, (uint32_t)len);
}

/* By a route of its own: with another header only, the bytes may stay where they are. */
static int reply_by(struct volley_packet *packet, const void *data, size_t len,
		    const struct volley_send_options *options, const struct vly_route *route)
{
	struct volley_worker *worker = packet->worker;
	int r;

	if (packet->internal & VLY_PACKET_HANDLED)
		return vly_handler_reply(packet, data, len, route);
	if (options->local != NULL || options->interface_index != 0)
		return vly_send_reply(packet, route, data, len);
	r = volley_packet_reply(packet, data, len);
	if (r == 0)
		vly_outbox_get_last(worker)->header = route->header;
	return r;
}

static int refuse_options(struct volley_packet *packet)
{
	if (packet->internal & VLY_PACKET_HANDLED)
		return vly_handler_refuse(packet);
	vly_ledger_request_reply(&packet->worker->books);
	return refuse(packet->worker, VOLLEY_TX_REFUSED, -EINVAL);
}

int volley_packet_reply_with(struct volley_packet *packet, const void *data, size_t len,
			     const struct volley_send_options *options)
{
	uint32_t ifindex = 0;
	struct vly_route route;
	struct vly_sock *sock;
	bool has_local;

	if (packet == NULL)
		return -EINVAL;
	if (options == NULL)
		return volley_packet_reply(packet, data, len);
	sock = vly_packet_get_sock(packet);
	has_local = packet->internal & VLY_PACKET_LOCAL;
	if (has_local)
		ifindex = vly_packet_get_info(packet)->reply_ifindex;
	if ((data == NULL && len > 0) ||
	    vly_route_find_reply(sock->listener, packet->peer, has_local ? packet->local : NULL,
				 ifindex, options, &route) < 0)
		return refuse_options(packet);
	if (route.if_room && vly_socks_request_room(sock))
		return -EAGAIN;
	if (vly_packet_has_bad_peer(packet))
		route.is_refused = true;
	return reply_by(packet, data, len, options, &route);
}

void *volley_packet_reply_buffer(struct volley_packet *packet, size_t need, size_t *ret_capacity)
{
	uint32_t capacity;
	void *room;

	if (packet == NULL || need == 0 || need > VLY_MAX_PAYLOAD)
		return NULL;
	if (packet->internal & VLY_PACKET_HANDLED)
		return vly_handler_get_room(packet, need, ret_capacity);
	room = vly_outbox_open_room(packet->worker, (uint32_t)need, &capacity);
	if (room != NULL && ret_capacity != NULL)
		*ret_capacity = capacity;
	return room;
}

/* Metadata ------------------------------------------------------------------------------------- */

/* 0 where the listener asked for it and the datagram had it. */
static int check(const struct volley_packet *packet, uint32_t flag, uint32_t bit)
{
	if (packet == NULL)
		return -EINVAL;
	if (!(vly_packet_get_listener(packet)->config.flags & flag) ||
	    !(vly_packet_get_info(packet)->found & bit))
		return -ENODATA;
	return 0;
}

int volley_packet_get_destination(const struct volley_packet *packet,
				  struct volley_addr *ret_destination)
{
	const struct vly_listener *listener;
	const struct vly_cmsg_info *info;

	if (packet == NULL || ret_destination == NULL)
		return -EINVAL;
	listener = vly_packet_get_listener(packet);
	info = vly_packet_get_info(packet);
	if ((listener->want & VLY_CMSG_ORIGIN) && (info->found & VLY_CMSG_ORIGIN)) {
		*ret_destination = info->destination;
		return 0;
	}
	if (!(packet->flags & (VOLLEY_PACKET_MULTICAST | VOLLEY_PACKET_BROADCAST))) {
		if (listener->has_locals && !(packet->internal & VLY_PACKET_LOCAL))
			return -ENODATA;
		*ret_destination = *packet->local;
		return 0;
	}
	*ret_destination = info->destination;
	ret_destination->in.sin_port = listener->addr.in.sin_port;
	return 0;
}

int volley_packet_get_handler(const struct volley_packet *packet)
{
	if (packet == NULL)
		return -EINVAL;
	if (!(packet->internal & VLY_PACKET_HANDLED))
		return -ENODATA;
	return (int)VLY_PACKET_INDEX(packet->internal);
}

int volley_packet_get_ttl(const struct volley_packet *packet)
{
	int r = check(packet, VOLLEY_LISTEN_WANT_TTL, VLY_CMSG_TTL);

	return r < 0 ? r : vly_packet_get_info(packet)->ttl;
}

int volley_packet_get_tos(const struct volley_packet *packet)
{
	int r = check(packet, VOLLEY_LISTEN_WANT_TOS, VLY_CMSG_TOS);

	return r < 0 ? r : vly_packet_get_info(packet)->tos;
}

int volley_packet_get_interface(const struct volley_packet *packet)
{
	int r = check(packet, VOLLEY_LISTEN_WANT_INTERFACE, VLY_CMSG_LOCAL);

	return r < 0 ? r : (int)vly_packet_get_info(packet)->ifindex;
}

int64_t volley_packet_get_timestamp(const struct volley_packet *packet)
{
	int r = check(packet, VOLLEY_LISTEN_WANT_TIMESTAMP, VLY_CMSG_TIMESTAMP);

	return r < 0 ? r : vly_packet_get_info(packet)->timestamp_ns;
}
