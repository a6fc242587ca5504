/* SPDX-License-Identifier: MIT */

/*
 * The data path from a socket to your callback and, through the outbox, back: one volley is
 * received into the slots, shown to the callback as views, and its replies are sent. All on the
 * worker's thread, and nothing allocates. Two things sleep: vly_pipeline_wait(), before it has
 * taken anything, and in a drain or a listener's close vly_handlers_give(), which then waits for
 * room instead of dropping.
 *
 *     io.recv -> slots -> views -> callback -> tx entries -> outbox -> io.send
 *                                     |  in place: the entry points into the slot
 *                                     |  else:     the entry points into the arena
 *
 * Invariants. Slots, views and arena belong to one volley and are free again when it was flushed:
 * whatever could not leave was copied to the backlog. Each datagram that io.recv returned is
 * counted exactly once before the next receive: as delivered, as queued for a handler, or under a
 * drop reason. The counters are published once a volley.
 */

#include "path/pipeline.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "path/handlers.h"
#include "path/icmp.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/remote.h"
#include "sys/socket.h"

int vly_pipeline_init(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;
	struct vly_intake *intake = &worker->intake;
	int r = vly_slots_init(&intake->slots, config->allocator, config->n_batch,
			       config->max_datagram_bytes);

	if (r < 0)
		return r;
	intake->views = vly_mem_new(config->allocator, VLY_PIPELINE_N_VIEWS, sizeof *intake->views);
	if (intake->views == NULL)
		return -ENOMEM;
	return vly_io_open(config->io, &intake->slots, &worker->io);
}

void vly_pipeline_fini(struct volley_worker *worker)
{
	vly_io_close(worker->io);
	vly_mem_free(worker->intake.views);
	vly_slots_fini(&worker->intake.slots);
}

int vly_pipeline_grow(struct volley_worker *worker, uint32_t slot_bytes)
{
	assert(vly_self_is_allowed(&worker->self) && vly_outbox_count(worker) == 0);
	return vly_slots_grow(&worker->intake.slots, slot_bytes);
}

uint64_t vly_pipeline_count_bytes(const struct volley_worker *worker)
{
	return worker->intake.slots.n_payload_bytes;
}

/* Receiving ------------------------------------------------------------------------------------ */

/* Where a reply to datagram i leaves from, as its control messages say; and by what link. */
static void set_local(struct volley_worker *worker, const struct vly_listener *listener, uint32_t i,
		      struct volley_packet *view)
{
	struct vly_cmsg_info *info = &worker->intake.slots.infos[i];

	if (listener->by_arrival || vly_addr_is_link_local(&worker->intake.slots.slots[i].peer))
		info->reply_ifindex = info->ifindex;
	if (info->local.len == 0) /* a group of IPv6: the kernel chooses */
		return;
	info->local.in.sin_port = listener->addr.in.sin_port;
	vly_packet_set_local(view, &info->local);
}

static inline void make_view(struct volley_worker *worker, struct vly_listener *listener,
			     uint32_t i, struct vly_slot *slot, struct volley_packet *view)
{
	view->data = slot->data;
	view->len = slot->len;
	view->capacity = slot->capacity;
	view->peer = &slot->peer;
	view->local = &listener->addr;
	view->listener.id = listener->id;
	view->worker = worker;
	view->flags = 0;
	view->internal = i;
	if (VLY_UNLIKELY(listener->has_locals))
		set_local(worker, listener, i, view);
}

/*
 * Whether the rest of a volley is not shown any more. The first callback of a volley that was taken
 * is the one that runs: a volley that is one callback loses nothing.
 */
static inline bool is_cut_short(const struct volley_worker *worker)
{
	return VLY_UNLIKELY(vly_drain_is_over(worker->shared)) && worker->intake.has_called;
}

/* One at a time, the first of them in any case. Returns how many were shown. */
static uint32_t call_each(struct volley_worker *worker, const struct volley_listen_config *config,
			  struct volley_packet *views, uint32_t n)
{
	const struct vly_shared *shared = worker->shared;
	uint32_t i = 0;

	do {
		config->on_packet(worker, &views[i++], config->arg);
		vly_arena_end_callback(&worker->arena);
	} while (i < n && !vly_drain_is_over(shared));
	return i;
}

/* Show n views to the user's callback, or give them to handlers, which do. */
static void call_back(struct volley_worker *worker, struct vly_sock *sock, uint32_t n)
{
	const struct volley_listen_config *config = &sock->listener->config;
	struct volley_packet *views = worker->intake.views;
	uint32_t n_shown = 0;

	assert(n > 0 && n <= VLY_PIPELINE_N_VIEWS);
	vly_ledger_count_taken(&worker->books, n);
	if (VLY_UNLIKELY(vly_handlers_has_any(worker))) {
		vly_handlers_give(worker, views, n);
		return;
	}
	if (!is_cut_short(worker)) {
		n_shown = n;
		if (config->on_packet != NULL) {
			n_shown = call_each(worker, config, views, n);
		} else {
			config->on_batch(worker, views, n, config->arg);
			vly_arena_end_callback(&worker->arena);
		}
	}
	worker->intake.has_called = true;
	vly_ledger_count_delivered(&worker->books, n_shown);
	for (; VLY_UNLIKELY(n_shown < n); n_shown++)
		vly_ledger_drop_rx(&worker->books, VOLLEY_RX_STOPPED);
}

/*
 * One view for each segment of a coalesced message, behind n_views others; returns how many now. A
 * function of its own, so that deliver()'s loop keeps its variables in registers.
 */
static VLY_NOINLINE uint32_t split(struct volley_worker *worker, struct vly_sock *sock, uint32_t i,
				   uint32_t n_views)
{
	struct vly_slot *slot = &worker->intake.slots.slots[i];

	assert(worker->intake.slots.slots[i].segment_bytes > 0);
	vly_ledger_count_coalesced(&worker->books);
	for (uint32_t at = 0; at < slot->len; at += slot->segment_bytes) {
		struct volley_packet *view = &worker->intake.views[n_views++];
		uint32_t rest = slot->len - at;

		make_view(worker, sock->listener, i, slot, view);
		view->data += at;
		view->len = rest < slot->segment_bytes ? rest : slot->segment_bytes;
		view->capacity = view->len; /* what follows is the next view's, still unread */
		if (n_views == VLY_PIPELINE_N_VIEWS) {
			call_back(worker, sock, n_views);
			n_views = 0;
		}
	}
	return n_views;
}

enum { SLOT_CAST = VLY_SLOT_MULTICAST | VLY_SLOT_BROADCAST };

static_assert((int)VLY_SLOT_MULTICAST == (int)VOLLEY_PACKET_MULTICAST &&
		      (int)VLY_SLOT_BROADCAST == (int)VOLLEY_PACKET_BROADCAST,
	      "deliver_part() passes the flags on");

/* A datagram of a message: where it begins, how long it was, and why it is to be dropped. */
struct part {
	uint32_t at;
	uint32_t len;
	bool is_split; /* there are others */
	enum volley_rx_drop fault;
};

static uint32_t deliver_part(struct volley_worker *worker, struct vly_sock *sock, uint32_t i,
			     uint32_t n_views, const struct part *part)
{
	struct vly_slot *slot = &worker->intake.slots.slots[i];
	uint32_t max_bytes = worker->shared->config.max_datagram_bytes;
	bool takes_cut = sock->listener->config.flags & VOLLEY_LISTEN_DELIVER_TRUNCATED;
	uint32_t left = slot->len > part->at ? slot->len - part->at : 0;
	uint32_t len = part->len < left ? part->len : left;
	enum volley_rx_drop fault = part->fault;
	struct volley_packet *view = &worker->intake.views[n_views];

	len = len < max_bytes ? len : max_bytes;
	if (fault == VOLLEY_RX_N_DROPS && len < part->len && !(takes_cut && len > 0))
		fault = VOLLEY_RX_TRUNCATED;
	if (fault != VOLLEY_RX_N_DROPS) {
		vly_ledger_refuse_rx(&worker->books, fault, 1);
		return n_views;
	}
	make_view(worker, sock->listener, i, slot, view);
	view->data += part->at;
	view->len = len;
	view->flags = slot->flags & SLOT_CAST;
	if (len < part->len)
		view->flags |= VOLLEY_PACKET_TRUNCATED;
	if (part->is_split)
		view->capacity = len;
	if (++n_views < VLY_PIPELINE_N_VIEWS)
		return n_views;
	call_back(worker, sock, n_views);
	return 0;
}

/*
 * Why all of a message is to be dropped; VOLLEY_RX_N_DROPS: it is not. What goes to many reaches
 * each of the listener's sockets, and the first one serves it.
 */
static enum volley_rx_drop find_fault(const struct volley_worker *worker,
				      const struct vly_sock *sock, uint32_t i)
{
	const struct vly_slot *slot = &worker->intake.slots.slots[i];
	uint32_t want = sock->listener->want;

	if ((slot->flags & SLOT_CAST) && !sock->is_first)
		return VOLLEY_RX_COPY;
	if (slot->peer.len == 0)
		return VOLLEY_RX_BAD_SOURCE;
	if ((slot->flags & VLY_SLOT_CTRUNC) && want != 0 &&
	    !vly_cmsg_is_complete(&worker->intake.slots.infos[i], want))
		return VOLLEY_RX_CTRUNC;
	return VOLLEY_RX_N_DROPS;
}

/*
 * A message that is not simply a datagram, or several, for one: it was cut off, or sent to many, or
 * nobody knows whom to reply to. What is whole of it is delivered like any other; of the rest each
 * datagram is counted.
 */
static VLY_COLD uint32_t deliver_odd(struct volley_worker *worker, struct vly_sock *sock,
				     uint32_t i, uint32_t n_views)
{
	const struct vly_slot *slot = &worker->intake.slots.slots[i];
	bool is_cut = slot->flags & VLY_SLOT_TRUNCATED;
	uint32_t full_bytes = is_cut ? slot->full_bytes : slot->len;
	bool is_split = slot->segment_bytes > 0 && slot->segment_bytes < full_bytes;
	uint32_t step = is_split ? slot->segment_bytes : full_bytes;
	enum volley_rx_drop fault = find_fault(worker, sock, i);
	uint32_t at = 0;

	if (is_split)
		vly_ledger_count_coalesced(&worker->books);
	do { /* once for an empty one */
		uint32_t len = full_bytes - at < step ? full_bytes - at : step;

		n_views = deliver_part(worker, sock, i, n_views,
				       &(struct part){ at, len, is_split, fault });
		at += step;
	} while (at < full_bytes);
	return n_views;
}

/* Slots 0 to n - 1 hold a volley of this socket's: show it to the callback. */
static void deliver(struct volley_worker *worker, struct vly_sock *sock, uint32_t n)
{
	struct vly_listener *listener = sock->listener;
	struct volley_packet *views = worker->intake.views;
	struct vly_slot *slots = worker->intake.slots.slots;
	uint32_t n_views = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct vly_slot *slot = &slots[i];

		if (VLY_UNLIKELY(slot->flags != 0 || slot->peer.len == 0))
			n_views = deliver_odd(worker, sock, i, n_views);
		else if (slot->segment_bytes > 0 && slot->segment_bytes < slot->len)
			n_views = split(worker, sock, i, n_views);
		else
			make_view(worker, listener, i, slot, &views[n_views++]);
		if (VLY_UNLIKELY(n_views == VLY_PIPELINE_N_VIEWS)) {
			call_back(worker, sock, n_views);
			n_views = 0;
		}
	}
	if (n_views > 0)
		call_back(worker, sock, n_views);
}

/* Sending -------------------------------------------------------------------------------------- */

void vly_pipeline_publish(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	vly_ledger_publish(&worker->books, vly_io_get_rx_syscalls(worker->io),
			   vly_io_get_tx_syscalls(worker->io), vly_outbox_count(worker));
}

/* Everything of this volley has left, or was copied: its memory is free. */
void vly_pipeline_flush(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	vly_outbox_flush(worker);
	vly_arena_clear(&worker->arena);
	if (VLY_UNLIKELY(vly_outbox_has_sent(worker))) {
		vly_handlers_take_sent(worker);
		vly_remote_take_sent(worker);
	}
	vly_pipeline_publish(worker);
}

void vly_pipeline_leave(struct volley_worker *worker)
{
	if (VLY_UNLIKELY(vly_outbox_count(worker) > 0 || vly_ledger_has_changed(&worker->books)))
		vly_pipeline_flush(worker);
	else
		vly_arena_clear(&worker->arena); /* rooms that nothing was sent out of */
	assert(vly_outbox_count(worker) == 0);   /* what a flush's callbacks add, it sends */
}

/* The whole way of one volley, from the slots to the kernel. */
static void serve(struct volley_worker *worker, struct vly_sock *sock, uint32_t n)
{
	const struct volley_config *config = &worker->shared->config;

	if (VLY_UNLIKELY(config->on_batch_begin != NULL)) {
		config->on_batch_begin(worker, config->arg);
		vly_arena_end_callback(&worker->arena);
	}
	worker->intake.sock = sock;
	worker->intake.sock_index = sock->index;
	worker->intake.has_called = false;
	vly_ledger_set_account(&worker->books, &sock->account);
	vly_ledger_count_volley(&worker->books, n);
	deliver(worker, sock, n);
	vly_icmp_drain(worker, sock);
	vly_pipeline_flush(worker);
	if (config->on_batch_end != NULL)
		config->on_batch_end(worker, config->arg);
}

/* Passes --------------------------------------------------------------------------------------- */

/*
 * Whether a receive call has emptied the queue. A short volley has: do not ask again only to hear
 * EAGAIN. But it also ends at an error that is pending (an ICMP report; docs/kernel.md), behind
 * which more may wait; so nobody believes it who would not look again.
 */
static bool is_empty(const struct vly_sock *sock, int r, uint32_t n)
{
	return r == 0 || (r > 0 && (uint32_t)r < n && !sock->drains);
}

/* Empty receives until one asks whether the socket was shut down: it looks readable for ever. */
enum { N_EMPTY = 64 };

static bool is_shut(struct vly_sock *sock)
{
	bool is_suspect = sock->refusal == -ESHUTDOWN || ++sock->n_empty % N_EMPTY == 0;

	return VLY_UNLIKELY(is_suspect) && vly_socket_is_shut(sock->fd);
}

/*
 * Nothing was received. An error on an unconnected UDP socket is somebody's ICMP message, which has
 * cost no datagram and is gone once reported, so the next receive is simply tried. What fails again
 * and again without a message is the receive itself.
 */
static void look_idle(struct volley_worker *worker, struct vly_sock *sock, int r)
{
	bool is_report = vly_icmp_take_idle(worker, sock);

	if (r == 0 && is_shut(sock))
		r = -ESHUTDOWN;
	if (VLY_UNLIKELY(r < 0 && !is_report))
		vly_socks_set_refused(sock, r);
	else if (VLY_UNLIKELY(sock->n_refused > 0))
		vly_socks_set_refused(sock, 0);
}

/* Asked after a volley, so that nobody is starved. */
static bool is_called(const struct volley_worker *worker)
{
	return VLY_UNLIKELY(atomic_load_explicit(&worker->intake.is_called, memory_order_relaxed));
}

/*
 * How many messages to take next. In a drain, and of a listener that is being closed, nothing may
 * be dropped: what handlers have no room for stays in its socket, and mail and other sockets are
 * looked after. Only for what the kernel has coalesced vly_handlers_give() waits.
 */
static uint32_t count_next(const struct volley_worker *worker, const struct vly_sock *sock)
{
	uint32_t n_batch = worker->shared->config.n_batch;
	uint32_t n_room;

	if (VLY_LIKELY(!vly_handlers_has_any(worker)) ||
	    (!vly_drain_has_listener(sock->listener) && !vly_drain_is_on(worker->shared)))
		return n_batch;
	n_room = vly_handlers_count_room(worker);
	return n_room < n_batch ? n_room : n_batch;
}

uint32_t vly_pipeline_run_sock(struct volley_worker *worker, struct vly_sock *sock, uint32_t budget)
{
	uint32_t total = 0;

	assert(vly_self_is_allowed(&worker->self));
	while (budget > 0 && !vly_drain_is_over(worker->shared)) {
		uint32_t n = count_next(worker, sock);
		int r;

		if (VLY_UNLIKELY(n == 0))
			break;
		r = vly_io_recv(worker->io, sock->index, n, false);
		if (r > 0) {
			if (VLY_UNLIKELY(sock->n_refused > 0))
				vly_socks_set_refused(sock, 0);
			serve(worker, sock, (uint32_t)r);
			total += (uint32_t)r;
		} else {
			look_idle(worker, sock, r);
		}
		if (is_empty(sock, r, n) || vly_socks_is_refused(sock)) {
			vly_socks_set_ready(sock, false);
			break;
		}
		budget = is_called(worker) ? 0 : budget - 1;
	}
	sock->n_taken = total;
	return total;
}

uint32_t vly_pipeline_run_once(struct volley_worker *worker, uint32_t budget)
{
	struct vly_sock *next;
	uint32_t total = 0;

	assert(budget > 0);
	for (struct vly_sock *sock = vly_socks_get_ready(&worker->socks); sock != NULL;
	     sock = next) {
		next = vly_socks_get_next_ready(sock);
		if (!vly_socks_settle(sock))
			continue;
		total += vly_pipeline_run_sock(worker, sock, budget);
		if (next != NULL && is_called(worker)) {
			vly_socks_set_next_ready(next);
			break;
		}
	}
	if (VLY_UNLIKELY(vly_icmp_has_reports(worker)))
		vly_icmp_process(worker);
	/* Of timers and hooks, and reports of the network: no volley took them along. */
	vly_pipeline_leave(worker);
	return total;
}

int vly_pipeline_wait(struct volley_worker *worker, struct vly_sock *sock)
{
	int r = vly_io_recv(worker->io, sock->index, worker->shared->config.n_batch, true);

	assert(vly_self_is_allowed(&worker->self));
	if (r > 0 || r == -ECANCELED)
		return r;
	look_idle(worker, sock, r);
	return 0;
}

void vly_pipeline_serve(struct volley_worker *worker, struct vly_sock *sock, uint32_t n)
{
	assert(n > 0 && n <= worker->shared->config.n_batch);
	serve(worker, sock, n);
}

/*
 * Errors are consumed one by one as they are reported; a socket that gives nothing else is broken.
 */
void vly_pipeline_discard(struct volley_worker *worker, struct vly_sock *sock)
{
	uint32_t n_errors = 0;
	int r;

	assert(vly_self_is_allowed(&worker->self));
	vly_ledger_set_account(&worker->books, &sock->account);
	do {
		r = vly_io_recv(worker->io, sock->index, worker->shared->config.n_batch, false);
		if (r > 0)
			vly_ledger_count_discarded(&worker->books, (uint32_t)r);
		else if (r < 0)
			n_errors++;
	} while (r != 0 && n_errors < 64);
	vly_pipeline_publish(worker);
}
