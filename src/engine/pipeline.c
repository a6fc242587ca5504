/* SPDX-License-Identifier: MIT */

/*
 * The data path, whole: one volley is received into the slots, shown to the callback as views,
 * and its answers are sent. Everything happens on the worker's thread, nothing allocates, and
 * nothing sleeps but
 * vly_pipeline_wait(), before it has taken anything.
 *
 *     io.recv -> slots -> views -> callback -> tx entries -> io.send
 *                                     |  in place: the entry points into the slot
 *                                     |  else:     the entry points into the arena
 *
 * Invariants. Slots, views and arena belong to one volley and are free again when flush()
 * returns: whatever could not leave was copied to the backlog. Each datagram that io.recv
 * returned is counted exactly once as delivered or
 * under a drop reason before the next receive; each answer asked for is counted exactly once as
 * sent, dropped or queued. The counters are published once a volley.
 */

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "engine/backlog.h"
#include "engine/pipeline.h"
#include "engine/server.h"
#include "engine/worker.h"

static_assert(sizeof(struct volley_packet) == 64, "the view is one cache line, frozen");

/* volley_packet.internal: the slot's index, and whether the packet was answered already. */
#define ANSWERED       0x80000000u
#define SLOT(internal) ((internal) & ~ANSWERED)

/* Payload over IPv6; IPv4 takes 20 bytes less and the kernel says so. RFC 768, RFC 8200. */
enum { MAX_PAYLOAD = 65527 };

/* Rooms in the arena start at multiples of this, as malloc's do. */
enum { ARENA_ALIGN = 16 };

static const struct vly_cmsg_info *get_info(const struct volley_packet *packet)
{
	return &packet->worker->slots.infos[SLOT(packet->internal)];
}

/* Sending -------------------------------------------------------------------------------------- */

static void send_port(struct volley_worker *worker, struct vly_port *port, const uint16_t *heads,
		      uint32_t n)
{
	struct volley_stats *counts = &worker->counts;
	int r = 0;

	while (n > 0 && port->n_backlog == 0) {
		r = vly_io_send(worker->io, port->listener->index, worker->tx, heads, n);
		if (VLY_LIKELY(r > 0)) {
			counts->tx_sent += (uint32_t)r;
			counts->tx_messages += (uint32_t)r;
			heads += r;
			n -= (uint32_t)r;
			continue;
		}
		if (r == -EAGAIN || r == -ENOBUFS)
			break;
		counts->tx_dropped[vly_stats_get_tx_drop(r)]++;
		heads++;
		n--;
	}
	for (uint32_t i = 0; i < n; i++)
		vly_backlog_push(worker, port, &worker->tx[heads[i]], r, vly_clock_now_ns());
}

/* Hand every answer to the kernel, listener by listener, in the order in which they were given. */
static void flush(struct volley_worker *worker)
{
	uint32_t n = worker->n_tx;
	uint32_t i = 0;

	while (i < n) {
		uint16_t listener = worker->tx[i].listener;
		uint32_t n_heads = 0;

		for (; i < n && worker->tx[i].listener == listener; i++)
			worker->heads[n_heads++] = (uint16_t)i;
		send_port(worker, &worker->ports[listener], worker->heads, n_heads);
	}
	worker->n_tx = 0;
	if (worker->n_arena_open == 0)
		worker->arena_used = 0;
}

static uint8_t *arena_get(struct volley_worker *worker, uint32_t n_bytes)
{
	uint32_t room = (n_bytes + ARENA_ALIGN - 1) & ~(uint32_t)(ARENA_ALIGN - 1);
	uint32_t size = worker->server->config.arena_bytes;

	if (VLY_UNLIKELY(room > size - worker->arena_used)) {
		flush(worker);
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
}

/* Where the answer's bytes stay until the flush: where they are, or in the arena. NULL: no room. */
static const uint8_t *place(struct volley_worker *worker, struct volley_packet *packet,
			    const uint8_t *data, uint32_t len)
{
	uintptr_t in_packet = (uintptr_t)data - (uintptr_t)packet->data;
	uintptr_t in_arena = (uintptr_t)data - (uintptr_t)worker->arena;
	bool first = !(packet->internal & ANSWERED);
	uint8_t *copy;

	if (VLY_UNLIKELY(len == 0))
		return packet->data;
	if (first && in_packet < packet->capacity && len <= packet->capacity - in_packet)
		return data;
	if (in_arena < worker->arena_used && len <= worker->arena_used - in_arena) {
		arena_close(worker, data, len);
		return data;
	}
	copy = arena_get(worker, len);
	if (copy != NULL) /* may overlap: a second answer that is longer than the room's rest */
		memmove(copy, data, len);
	return copy;
}

/* Port 0 cannot be sent to, and an answer to ourselves would come back for ever. */
static bool is_refused(const struct volley_packet *packet)
{
	const struct volley_addr *peer = packet->peer;
	const struct volley_addr *local = packet->local;

	/* The port is at the same place in both families. */
	if (VLY_LIKELY(peer->in.sin_port != local->in.sin_port))
		return peer->in.sin_port == 0;
	if (peer->sa.sa_family != local->sa.sa_family)
		return false;
	if (peer->sa.sa_family == AF_INET)
		return peer->in.sin_addr.s_addr == local->in.sin_addr.s_addr;
	return memcmp(&peer->in6.sin6_addr, &local->in6.sin6_addr, 16) == 0;
}

static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
	      "is_refused() reads the port without asking for the family");

static int refuse(struct volley_worker *worker, enum volley_tx_drop reason, int error)
{
	worker->counts.tx_dropped[reason]++;
	return error;
}

int volley_packet_reply(struct volley_packet *packet, const void *data, size_t len)
{
	struct volley_worker *worker = packet->worker;
	const uint8_t *bytes;
	struct vly_tx *tx;

	worker->counts.tx_requested++;
	if (VLY_UNLIKELY(len > MAX_PAYLOAD))
		return refuse(worker, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (VLY_UNLIKELY(is_refused(packet)))
		return refuse(worker, VOLLEY_TX_REFUSED, -EINVAL);
	/* Before the bytes have their place, for a flush may empty the arena. */
	if (VLY_UNLIKELY(worker->n_tx == VLY_N_TX))
		flush(worker);
	bytes = place(worker, packet, data, (uint32_t)len);
	if (VLY_UNLIKELY(bytes == NULL))
		return refuse(worker, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	packet->internal |= ANSWERED;
	tx = &worker->tx[worker->n_tx++];
	tx->data = bytes;
	tx->len = (uint32_t)len;
	tx->peer = packet->peer;
	tx->listener = (uint16_t)packet->listener->index;
	tx->n_segments = 1;
	tx->local = NULL;
	if (packet->local != &packet->listener->addr) {
		tx->local = packet->local;
		tx->ifindex = get_info(packet)->ifindex;
	}
	return 0;
}

void *volley_packet_reply_buffer(struct volley_packet *packet, size_t need, size_t *ret_capacity)
{
	struct volley_worker *worker = packet->worker;
	uint8_t *room;

	if (need == 0 || need > MAX_PAYLOAD)
		return NULL;
	room = arena_get(worker, (uint32_t)need);
	if (room == NULL)
		return NULL;
	worker->n_arena_open++;
	if (ret_capacity != NULL)
		*ret_capacity = worker->arena_used - worker->arena_last;
	return room;
}

/* Receiving ------------------------------------------------------------------------------------ */

/* A slot that is not simply a datagram: true when it is to be delivered all the same. */
static bool admit(struct volley_worker *worker, const struct vly_port *port,
		  const struct vly_slot *slot)
{
	uint32_t flags = port->listener->config.flags;
	enum volley_rx_drop reason;

	if (slot->peer.len == 0)
		reason = VOLLEY_RX_BAD_SOURCE;
	else if (slot->flags & VLY_SLOT_CTRUNC)
		reason = VOLLEY_RX_CTRUNC;
	else if (!(flags & VOLLEY_LISTEN_DELIVER_TRUNCATED))
		reason = VOLLEY_RX_TRUNCATED;
	else
		return true;
	worker->counts.rx_datagrams++;
	worker->counts.rx_dropped[reason]++;
	return false;
}

static const struct volley_addr *get_local(struct volley_worker *worker,
					   const struct vly_port *port, uint32_t i)
{
	struct volley_listener *listener = port->listener;
	struct vly_cmsg_info *info;

	if (VLY_LIKELY(!listener->wildcard))
		return &listener->addr;
	info = &worker->slots.infos[i];
	if (info->local.len == 0) /* a multicast destination: the kernel chooses */
		return &listener->addr;
	info->local.in.sin_port = listener->addr.in.sin_port;
	return &info->local;
}

static void make_view(struct volley_worker *worker, struct vly_port *port, uint32_t i,
		      struct volley_packet *view)
{
	struct vly_slot *slot = &worker->slots.slots[i];

	view->data = slot->data;
	view->len = slot->len;
	view->capacity = slot->capacity;
	view->peer = &slot->peer;
	view->local = get_local(worker, port, i);
	view->listener = port->listener;
	view->worker = worker;
	view->flags = slot->flags & VLY_SLOT_TRUNCATED ? VOLLEY_PACKET_TRUNCATED : 0;
	view->internal = i;
}

/* The only upward call of the library. */
static void call_back(struct volley_worker *worker, struct vly_port *port, uint32_t n)
{
	const struct volley_listen_config *config = &port->listener->config;

	worker->counts.rx_datagrams += n;
	worker->counts.delivered += n;
	if (config->on_batch != NULL)
		config->on_batch(worker, worker->views, n, config->arg);
	for (uint32_t i = 0; config->on_packet != NULL && i < n; i++)
		config->on_packet(worker, &worker->views[i], config->arg);
	worker->n_arena_open = 0;
}

void vly_pipeline_publish(struct volley_worker *worker)
{
	worker->counts.rx_syscalls = vly_io_get_rx_syscalls(worker->io);
	worker->counts.tx_syscalls = vly_io_get_tx_syscalls(worker->io);
	vly_stats_publish(&worker->snapshot, &worker->counts);
}

/* Slots 0 to n - 1 hold a volley of this port's: deliver it, and send what was answered. */
static void serve(struct volley_worker *worker, struct vly_port *port, uint32_t n)
{
	const struct volley_config *config = &worker->server->config;
	uint32_t n_views = 0;

	worker->counts.rx_batches++;
	worker->counts.rx_messages += n;
	for (uint32_t i = 0; i < n; i++) {
		const struct vly_slot *slot = &worker->slots.slots[i];

		if (VLY_UNLIKELY(slot->flags != 0 || slot->peer.len == 0) &&
		    !admit(worker, port, slot))
			continue;
		make_view(worker, port, i, &worker->views[n_views++]);
		if (VLY_UNLIKELY(n_views == VLY_N_VIEWS)) {
			call_back(worker, port, n_views);
			n_views = 0;
		}
	}
	if (n_views > 0)
		call_back(worker, port, n_views);
	flush(worker);
	vly_pipeline_publish(worker);
	if (config->on_batch_end != NULL)
		config->on_batch_end(worker, config->arg);
}

/*
 * A receive error on an unconnected UDP socket is somebody's ICMP message or an interrupted wait.
 * It has cost no datagram and is gone once reported, so the next receive is simply tried.
 */
static uint32_t receive(struct volley_worker *worker, struct vly_port *port, uint32_t budget)
{
	uint32_t n_batch = worker->server->config.n_batch;
	uint32_t total = 0;

	while (budget-- > 0) {
		int r = vly_io_recv(worker->io, port->listener->index, n_batch, false);

		if (r > 0) {
			serve(worker, port, (uint32_t)r);
			total += (uint32_t)r;
		}
		/* A short volley emptied the queue: do not ask again only to hear EAGAIN. */
		if (r >= 0 && (uint32_t)r < n_batch) {
			port->ready = false;
			break;
		}
	}
	return total;
}

uint32_t vly_pipeline_run_once(struct volley_worker *worker, uint32_t budget)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < worker->n_ports; i++)
		if (worker->ports[i].ready)
			total += receive(worker, &worker->ports[i], budget);
	return total;
}

int vly_pipeline_wait(struct volley_worker *worker)
{
	int r = vly_io_recv(worker->io, 0, worker->server->config.n_batch, true);

	return r == -ECANCELED || r > 0 ? r : 0;
}

void vly_pipeline_serve(struct volley_worker *worker, uint32_t n)
{
	serve(worker, &worker->ports[0], n);
}

void vly_pipeline_set_ready(struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->n_ports; i++)
		worker->ports[i].ready = true;
}

/*
 * Errors are consumed one by one as they are reported; a socket that gives nothing else is broken.
 */
void vly_pipeline_discard(struct volley_worker *worker, uint32_t listener)
{
	uint32_t n_errors = 0;
	int r;

	do {
		r = vly_io_recv(worker->io, listener, worker->server->config.n_batch, false);
		if (r > 0)
			worker->counts.discarded_at_close += (uint32_t)r;
		else if (r < 0)
			n_errors++;
	} while (r != 0 && n_errors < 64);
	vly_pipeline_publish(worker);
}

/* Metadata ------------------------------------------------------------------------------------- */

static bool has(const struct volley_packet *packet, uint32_t flag, uint32_t bit)
{
	return (packet->listener->config.flags & flag) && (get_info(packet)->found & bit);
}

int volley_packet_get_ttl(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_TTL, VLY_CMSG_TTL))
		return -ENODATA;
	return get_info(packet)->ttl;
}

int volley_packet_get_tos(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_TOS, VLY_CMSG_TOS))
		return -ENODATA;
	return get_info(packet)->tos;
}

int volley_packet_get_interface(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_INTERFACE, VLY_CMSG_LOCAL))
		return -ENODATA;
	return (int)get_info(packet)->ifindex;
}

int64_t volley_packet_get_timestamp(const struct volley_packet *packet)
{
	if (!has(packet, VOLLEY_LISTEN_WANT_TIMESTAMP, VLY_CMSG_TIMESTAMP))
		return -ENODATA;
	return get_info(packet)->timestamp_ns;
}
