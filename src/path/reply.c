/* SPDX-License-Identifier: MIT */

/*
 * What a callback can do with a packet: answer it, and ask how it came.
 *
 * An answer becomes a tx entry that points to its bytes. They stay where they are when that is the
 * packet's own memory (first answer only: a second could overwrite it) or a room of the arena;
 * anything else is copied into the arena now. Both belong to the volley, so nothing is kept beyond
 * the flush.
 *
 * The arena is filled from the bottom. It is empty again after each volley, and in the middle of
 * one when it is full, everything in it has been sent, and no room is still being written to.
 */

#include <errno.h>
#include <string.h>

#include <volley/packet.h>

#include "base/compiler.h"
#include "path/handler.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/reply.h"
#include "path/worker.h"
#include "server/server.h"

/* Rooms in the arena start at multiples of this, as malloc's do. */
enum { ARENA_ALIGN = 16 };

void *vly_reply_get_room(struct volley_worker *worker, uint32_t n_bytes)
{
	uint32_t room = (n_bytes + ARENA_ALIGN - 1) & ~(uint32_t)(ARENA_ALIGN - 1);
	uint32_t size = worker->server->config.arena_bytes;

	if (VLY_UNLIKELY(room > size - worker->arena_used)) {
		vly_outbox_flush(worker);
		if (worker->n_arena_open == 0)
			worker->arena_used = 0;
		if (room > size - worker->arena_used)
			return NULL;
	}
	worker->arena_last = worker->arena_used;
	worker->arena_used += room;
	return worker->arena + worker->arena_last;
}

/*
 * An answer that was written into a room of ours: give back what it did not use. Only once: a
 * second answer from the same room must not give back what the first one uses.
 */
static void arena_close(struct volley_worker *worker, const uint8_t *data, uint32_t len)
{
	uint32_t end = (uint32_t)(data - worker->arena) + len;

	if (data < worker->arena + worker->arena_last)
		return;
	worker->arena_used = (end + ARENA_ALIGN - 1) & ~(uint32_t)(ARENA_ALIGN - 1);
	worker->arena_last = worker->arena_used;
	if (worker->n_arena_open > 0)
		worker->n_arena_open--;
}

/* Where the answer's bytes stay until the flush: where they are, or in the arena. NULL: no room. */
static const uint8_t *place(struct volley_worker *worker, struct volley_packet *packet,
			    const uint8_t *data, uint32_t len)
{
	uintptr_t in_packet = (uintptr_t)data - (uintptr_t)packet->data;
	uintptr_t in_arena = (uintptr_t)data - (uintptr_t)worker->arena;
	bool first = !(packet->internal & VLY_PACKET_ANSWERED);
	uint8_t *copy;

	if (VLY_UNLIKELY(len == 0))
		return packet->data;
	if (first && in_packet < packet->capacity && len <= packet->capacity - in_packet)
		return data;
	if (in_arena < worker->arena_used && len <= worker->arena_used - in_arena) {
		arena_close(worker, data, len);
		return data;
	}
	copy = vly_reply_get_room(worker, len);
	if (copy != NULL) /* may overlap: a second answer that is longer than the room's rest */
		memmove(copy, data, len);
	return copy;
}

static int refuse(struct volley_worker *worker, enum volley_tx_drop reason, int error)
{
	worker->counts.tx_dropped[reason]++;
	return error;
}

static int add(struct volley_worker *worker, const struct volley_packet *packet,
	       const uint8_t *bytes, uint32_t len)
{
	const struct volley_listener *listener = packet->listener;
	struct vly_tx *tx = &worker->tx[worker->n_tx++];

	tx->data = bytes;
	tx->len = len;
	tx->peer = packet->peer;
	tx->listener = (uint16_t)listener->index;
	tx->local = NULL;
	if (VLY_UNLIKELY(packet->local != &listener->addr)) {
		tx->local = packet->local;
		tx->ifindex = vly_packet_get_info(packet)->ifindex;
	}
	return 0;
}

/* Whatever the common case below is not. */
static __attribute__((noinline)) int reply_other(struct volley_packet *packet, const uint8_t *data,
						 size_t len)
{
	struct volley_worker *worker = packet->worker;
	const uint8_t *bytes;

	if (len > VLY_MAX_PAYLOAD)
		return refuse(worker, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (vly_packet_is_refused(packet->peer, packet->local))
		return refuse(worker, VOLLEY_TX_REFUSED, -EINVAL);
	/* Before the bytes have their place, for a flush may empty the arena. */
	if (worker->n_tx == VLY_N_TX)
		vly_outbox_flush(worker);
	bytes = place(worker, packet, data, (uint32_t)len);
	if (bytes == NULL)
		return refuse(worker, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	packet->internal |= VLY_PACKET_ANSWERED;
	return add(worker, packet, bytes, (uint32_t)len);
}

/* The common case first, without a call: one answer in place, to somebody else's port. */
int volley_packet_reply(struct volley_packet *packet, const void *data, size_t len)
{
	struct volley_worker *worker = packet->worker;
	uintptr_t at = (uintptr_t)data - (uintptr_t)packet->data;
	in_port_t port = packet->peer->in.sin_port;

	if (VLY_UNLIKELY(packet->internal & VLY_PACKET_HANDLED))
		return vly_handler_reply(packet, data, len);
	worker->counts.tx_requested++;
	if (VLY_UNLIKELY((packet->internal & VLY_PACKET_ANSWERED) || at >= packet->capacity ||
			 len == 0 || len > packet->capacity - at || len > VLY_MAX_PAYLOAD ||
			 port == 0 || port == packet->local->in.sin_port ||
			 worker->n_tx == VLY_N_TX))
		return reply_other(packet, data, len);
	packet->internal |= VLY_PACKET_ANSWERED;
	return add(worker, packet, data, (uint32_t)len);
}

void *volley_packet_reply_buffer(struct volley_packet *packet, size_t need, size_t *ret_capacity)
{
	struct volley_worker *worker = packet->worker;
	uint8_t *room;

	if (need == 0 || need > VLY_MAX_PAYLOAD)
		return NULL;
	if (packet->internal & VLY_PACKET_HANDLED)
		return vly_handler_get_room(packet, need, ret_capacity);
	room = vly_reply_get_room(worker, (uint32_t)need);
	if (room == NULL)
		return NULL;
	worker->n_arena_open++;
	if (ret_capacity != NULL)
		*ret_capacity = worker->arena_used - worker->arena_last;
	return room;
}

/* Metadata ------------------------------------------------------------------------------------- */

static bool has(const struct volley_packet *packet, uint32_t flag, uint32_t bit)
{
	return (packet->listener->config.flags & flag) &&
	       (vly_packet_get_info(packet)->found & bit);
}

int volley_packet_get_handler(const struct volley_packet *packet)
{
	if (!(packet->internal & VLY_PACKET_HANDLED))
		return -ENODATA;
	return (int)VLY_PACKET_INDEX(packet->internal);
}

int volley_packet_get_ttl(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_TTL, VLY_CMSG_TTL))
		return -ENODATA;
	return vly_packet_get_info(packet)->ttl;
}

int volley_packet_get_tos(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_TOS, VLY_CMSG_TOS))
		return -ENODATA;
	return vly_packet_get_info(packet)->tos;
}

int volley_packet_get_interface(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_INTERFACE, VLY_CMSG_LOCAL))
		return -ENODATA;
	return (int)vly_packet_get_info(packet)->ifindex;
}

int64_t volley_packet_get_timestamp(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_TIMESTAMP, VLY_CMSG_TIMESTAMP))
		return -ENODATA;
	return vly_packet_get_info(packet)->timestamp_ns;
}
