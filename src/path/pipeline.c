/* SPDX-License-Identifier: MIT */

/*
 * The data path from a socket to your callback and, through the outbox, back: one volley is
 * received into the slots, shown to the callback as views, and its answers are sent. All on the
 * worker's thread; nothing allocates, and nothing sleeps but vly_pipeline_wait(), before it has
 * taken anything.
 *
 *     io.recv -> slots -> views -> callback -> tx entries -> outbox -> io.send
 *                                     |  in place: the entry points into the slot
 *                                     |  else:     the entry points into the arena
 *
 * Invariants. Slots, views and arena belong to one volley and are free again when it was flushed:
 * whatever could not leave was copied to the backlog. Each datagram that io.recv returned is
 * counted exactly once, as delivered or under a drop reason, before the next receive. The counters
 * are published once a volley.
 */

#include <errno.h>

#include "base/compiler.h"
#include "path/errors.h"
#include "path/handler.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/worker.h"
#include "server/server.h"

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

/* Where datagram i of a wildcard listener was sent to. */
static const struct volley_addr *get_local(struct volley_worker *worker,
					   const struct volley_listener *listener, uint32_t i)
{
	struct vly_cmsg_info *info = &worker->slots.infos[i];

	if (info->local.len == 0) /* a multicast destination: the kernel chooses */
		return &listener->addr;
	info->local.in.sin_port = listener->addr.in.sin_port;
	return &info->local;
}

static_assert((int)VLY_SLOT_TRUNCATED == (int)VOLLEY_PACKET_TRUNCATED,
	      "make_view() passes the flag on");

static inline void make_view(struct volley_worker *worker, struct volley_listener *listener,
			     uint32_t i, struct vly_slot *slot, struct volley_packet *view)
{
	view->data = slot->data;
	view->len = slot->len;
	view->capacity = slot->capacity;
	view->peer = &slot->peer;
	view->local = &listener->addr;
	view->listener = listener;
	view->worker = worker;
	view->flags = slot->flags & VLY_SLOT_TRUNCATED;
	view->internal = i;
	if (VLY_UNLIKELY(listener->wildcard))
		view->local = get_local(worker, listener, i);
}

/* The only upward call of a worker; a handler's is in handler.c. */
static void call_back(struct volley_worker *worker, struct vly_port *port, uint32_t n)
{
	const struct volley_listen_config *config = &port->listener->config;

	worker->counts.rx_datagrams += n;
	if (VLY_UNLIKELY(worker->n_handlers > 0)) {
		vly_handlers_give(worker, worker->views, n);
		return;
	}
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

void vly_pipeline_flush(struct volley_worker *worker)
{
	if (worker->n_tx > 0)
		vly_outbox_flush(worker);
	worker->arena_used = 0;
	vly_pipeline_publish(worker);
}

/* One view for each segment of a coalesced message, behind n_views others; returns how many now. */
static uint32_t split(struct volley_worker *worker, struct vly_port *port, uint32_t i,
		      uint32_t n_views)
{
	struct vly_slot *slot = &worker->slots.slots[i];

	worker->counts.rx_coalesced++;
	for (uint32_t at = 0; at < slot->len; at += slot->segment_bytes) {
		struct volley_packet *view = &worker->views[n_views++];
		uint32_t rest = slot->len - at;

		make_view(worker, port->listener, i, slot, view);
		view->data += at;
		view->len = rest < slot->segment_bytes ? rest : slot->segment_bytes;
		view->capacity = view->len; /* what follows is the next view's, still unread */
		if (n_views == VLY_N_VIEWS) {
			call_back(worker, port, n_views);
			n_views = 0;
		}
	}
	return n_views;
}

/* Slots 0 to n - 1 hold a volley of this port's: deliver it, and send what was answered. */
static void serve(struct volley_worker *worker, struct vly_port *port, uint32_t n)
{
	const struct volley_config *config = &worker->server->config;
	struct volley_listener *listener = port->listener;
	struct volley_packet *views = worker->views;
	struct vly_slot *slots = worker->slots.slots;
	uint32_t n_views = 0;

	if (VLY_UNLIKELY(config->on_batch_begin != NULL))
		config->on_batch_begin(worker, config->arg);
	worker->counts.rx_batches++;
	worker->counts.rx_messages += n;
	for (uint32_t i = 0; i < n; i++) {
		struct vly_slot *slot = &slots[i];

		if (VLY_UNLIKELY(slot->flags != 0 || slot->peer.len == 0) &&
		    !admit(worker, port, slot))
			continue;
		if (slot->segment_bytes > 0 && slot->segment_bytes < slot->len)
			n_views = split(worker, port, i, n_views);
		else
			make_view(worker, listener, i, slot, &views[n_views++]);
		if (VLY_UNLIKELY(n_views == VLY_N_VIEWS)) {
			call_back(worker, port, n_views);
			n_views = 0;
		}
	}
	if (n_views > 0)
		call_back(worker, port, n_views);
	vly_errors_drain(worker, port);
	vly_outbox_flush(worker);
	worker->n_arena_open = 0;
	worker->arena_used = 0;
	vly_pipeline_publish(worker);
	if (config->on_batch_end != NULL)
		config->on_batch_end(worker, config->arg);
}

/*
 * A receive error on an unconnected UDP socket is somebody's ICMP message or an interrupted wait.
 * It has cost no datagram and is gone once reported, so the next receive is simply tried.
 */
uint32_t vly_pipeline_run_port(struct volley_worker *worker, struct vly_port *port, uint32_t budget)
{
	uint32_t n_batch = worker->server->config.n_batch;
	uint32_t total = 0;

	while (budget-- > 0) {
		int r = vly_io_recv(worker->io, port->listener->index, n_batch, false);

		if (r > 0) {
			serve(worker, port, (uint32_t)r);
			total += (uint32_t)r;
		} else {
			vly_errors_drain(worker, port);
		}
		/* A short volley emptied the queue: do not ask again only to hear EAGAIN. */
		if (r >= 0 && (uint32_t)r < n_batch) {
			port->ready = false;
			break;
		}
	}
	port->n_taken = total;
	return total;
}

uint32_t vly_pipeline_run_once(struct volley_worker *worker, uint32_t budget)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < worker->n_ports; i++) {
		worker->ports[i].n_taken = 0;
		if (worker->ports[i].ready)
			total += vly_pipeline_run_port(worker, &worker->ports[i], budget);
	}
	if (VLY_UNLIKELY(worker->n_tx > 0)) /* of the user's timers: no volley took them along */
		vly_pipeline_flush(worker);
	return total;
}

int vly_pipeline_wait(struct volley_worker *worker, struct vly_port *port)
{
	int r = vly_io_recv(worker->io, port->listener->index, worker->server->config.n_batch,
			    true);

	if (r > 0 || r == -ECANCELED)
		return r;
	vly_errors_drain(worker, port);
	return 0;
}

void vly_pipeline_serve(struct volley_worker *worker, struct vly_port *port, uint32_t n)
{
	serve(worker, port, n);
}

void vly_pipeline_set_ready(struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->n_ports; i++)
		worker->ports[i].ready = worker->ports[i].reads;
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
