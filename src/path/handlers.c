/* SPDX-License-Identifier: MIT */

/*
 * The worker's side of its handlers: packets go out, packets and replies come back.
 *
 *     views -> copied into packet buffers -> rx ring of the handler that has the flow
 *     inbox: "handler k has something" -> tx ring -> counted, replies to the outbox -> buffers
 *
 * A client's packets go to one handler, by a hash of its address and port, so that they stay in
 * order; where the listener does not mind, to the one that has the fewest. A handler has at most
 * n_ring packets at a time, in its rings and in its hands: then it is full, and the newest is
 * dropped as `ring_full`. No ring can overflow (the third one takes buffers of a handler's own back
 * to it), so nobody waits for room; but a drain, which must not drop, waits for handlers to finish
 * what they have. So does a listener's close; but there as much as possible waits in the socket
 * instead (vly_pipeline_run_sock()), for the worker's other listeners are served meanwhile.
 *
 * Packets that a handler has are `rx_queued` in the worker's counters until they come back, and
 * only the worker counts.
 */

#include "path/handlers.h"

#include <errno.h>
#include <string.h>

#include <volley/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/mem.h"
#include "path/handler.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/worker.h"
#include "sys/addr.h"
#include "sys/clock.h"
#include "sys/wake.h"

/* A datagram beyond a jumbo frame is rare; a handler can have this many at a time. */
enum { N_LARGE = 8 };

/* Memory -------------------------------------------------------------------------------------- */

static int init_handler(struct volley_worker *worker, struct vly_handler *handler)
{
	const struct volley_config *config = &worker->shared->config;
	const struct volley_allocator *allocator = config->allocator;
	uint32_t n_ring = config->n_ring;
	const uint32_t n_own[VLY_BUFFERS_N_CLASSES] = { n_ring, n_ring, N_LARGE };
	uint32_t n_out = VLY_HANDLER_N_VIEWS + 2 * n_ring + N_LARGE;
	int r;

	handler->event_fd = vly_wake_open();
	if (handler->event_fd < 0) {
		vly_log_write_refused(config, "eventfd2, or read or write on it,",
				      handler->event_fd);
		return handler->event_fd;
	}
	r = vly_ring_init(&handler->rx, allocator, n_ring, 0);
	if (r >= 0)
		r = vly_ring_init(&handler->tx, allocator, 4 * n_ring, 0);
	if (r >= 0)
		r = vly_ring_init(&handler->spare, allocator, 4 * n_ring, 0);
	if (r < 0)
		return r;
	handler->own = vly_buffers_new(allocator, n_own);
	handler->views = vly_mem_new(allocator, VLY_HANDLER_N_VIEWS, sizeof *handler->views);
	handler->out = vly_mem_new(allocator, n_out, sizeof *handler->out);
	if (handler->own == NULL || handler->views == NULL || handler->out == NULL)
		return -ENOMEM;
	return 0;
}

int vly_handlers_init(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;
	uint32_t n = config->n_handlers;
	const uint32_t n_packets[VLY_BUFFERS_N_CLASSES] = { n * config->n_ring, n * config->n_ring,
							    n * N_LARGE };
	int r = 0;

	if (n == 0)
		return 0;
	worker->crew.packets = vly_buffers_new(config->allocator, n_packets);
	worker->crew.handlers = vly_mem_new(config->allocator, n, sizeof *worker->crew.handlers);
	if (worker->crew.packets == NULL || worker->crew.handlers == NULL)
		return -ENOMEM;
	worker->crew.n_handlers = n;
	for (uint32_t i = 0; i < n; i++)
		worker->crew.handlers[i].event_fd = -1;
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct vly_handler *handler = &worker->crew.handlers[i];

		vly_gate_init(&handler->gate);
		handler->worker = worker;
		handler->index = i;
		handler->packets = vly_buffers_get(worker->crew.packets, 0);
		r = init_handler(worker, handler);
	}
	return r;
}

void vly_handlers_fini(struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++) {
		struct vly_handler *handler = &worker->crew.handlers[i];

		vly_mem_free(handler->out);
		vly_mem_free(handler->views);
		vly_buffers_free(handler->own);
		vly_ring_fini(&handler->spare);
		vly_ring_fini(&handler->tx);
		vly_ring_fini(&handler->rx);
		vly_wake_close(handler->event_fd);
		vly_gate_fini(&handler->gate);
	}
	vly_mem_free(worker->crew.handlers);
	vly_buffers_free(worker->crew.packets);
}

uint64_t vly_handlers_count_bytes(const struct volley_worker *worker)
{
	uint64_t n_bytes = vly_buffers_count_bytes(worker->crew.packets);

	for (uint32_t i = 0; i < worker->crew.n_handlers; i++)
		n_bytes += vly_buffers_count_bytes(worker->crew.handlers[i].own);
	return n_bytes;
}

/* Life ---------------------------------------------------------------------------------------- */

static int start_handler(struct vly_handler *handler)
{
	int r;

	vly_gate_close(&handler->gate);
	handler->handle = NULL;
	atomic_store_explicit(&handler->command, VLY_HANDLER_SERVE, memory_order_relaxed);
	atomic_store_explicit(&handler->left, false, memory_order_relaxed);
	r = vly_thread_start(&handler->thread, vly_handler_run, handler);
	if (r < 0)
		return r;
	handler->is_started = true;
	return vly_gate_wait_all(&handler->gate, 1);
}

int vly_handlers_start(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++) {
		int r = start_handler(&worker->crew.handlers[i]);

		if (r < 0) {
			vly_log_write(&worker->shared->config, VOLLEY_LOG_ERROR,
				      "worker %u: handler %u of %u cannot start: %s", worker->index,
				      i, worker->crew.n_handlers, volley_error_name(r));
			return r;
		}
	}
	worker->crew.is_open = true;
	return 0;
}

static void wake(struct vly_handler *handler)
{
	/* acq_rel: a handler that falls asleep after this sees all that we did before */
	if (atomic_exchange_explicit(&handler->asleep, false, memory_order_acq_rel))
		vly_wake_post(handler->event_fd);
}

static void give_command(struct vly_handler *handler, enum vly_handler_command command)
{
	/* release: publishes what was put into the ring before */
	atomic_store_explicit(&handler->command, command, memory_order_release);
	wake(handler);
}

void vly_handlers_drain(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	worker->crew.is_open = false;
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++)
		give_command(&worker->crew.handlers[i], VLY_HANDLER_DRAIN);
}

bool vly_handlers_has_left(const struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++)
		if (!atomic_load_explicit(&worker->crew.handlers[i].left, memory_order_acquire))
			return false;
	return true;
}

static void take(struct volley_worker *worker, struct vly_handler *handler);

void vly_handlers_stop(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	worker->crew.is_open = false;
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++) {
		struct vly_handler *handler = &worker->crew.handlers[i];

		if (!handler->is_started)
			continue;
		give_command(handler, VLY_HANDLER_STOP);
		if (handler->handle != NULL)
			volley_cancel_request(handler->handle); /* -ESRCH: it has left already */
	}
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++) {
		struct vly_handler *handler = &worker->crew.handlers[i];

		if (!handler->is_started)
			continue;
		vly_thread_join(&handler->thread);
		handler->is_started = false;
		volley_cancel_unref(handler->handle);
		take(worker, handler);
	}
}

bool vly_handlers_has_me(const struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++)
		if (vly_self_is_me(&worker->crew.handlers[i].self))
			return true;
	return false;
}

static void put(struct volley_worker *worker, struct vly_buffer *buffer)
{
	if (buffer->pool == VLY_POOL_PACKETS)
		vly_buffers_put(worker->crew.packets, buffer);
	else
		vly_ring_push(&worker->crew.handlers[buffer->owner].spare, &buffer->index, 1);
}

void vly_handlers_take_sent(struct volley_worker *worker)
{
	static const enum vly_pool pools[] = { VLY_POOL_PACKETS, VLY_POOL_HANDLER };

	assert(vly_self_is_allowed(&worker->self));
	for (size_t i = 0; i < VLY_ARRAY_SIZE(pools); i++) {
		struct vly_inbox_node *node = vly_outbox_take_sent(worker, pools[i]);

		while (node != NULL) {
			struct vly_buffer *buffer = VLY_CONTAINER_OF(node, struct vly_buffer, node);

			node = node->next;
			put(worker, buffer);
		}
	}
}

/* There --------------------------------------------------------------------------------------- */

static void fill(const struct volley_packet *view, struct vly_buffer *buffer, uint64_t deadline_ns)
{
	memcpy(buffer->data, view->data, view->len);
	buffer->len = view->len;
	buffer->flags = (uint16_t)view->flags;
	buffer->pool = VLY_POOL_PACKETS;
	buffer->state = VLY_HANDLER_DELIVERED;
	buffer->deadline_ns = deadline_ns;
	buffer->reply = NULL;
	memset(buffer->n_failed, 0, sizeof buffer->n_failed);
	/* TTL and the like; for the sake of UDP_GRO alone nothing of it is written. */
	if (vly_packet_get_listener(view)->want & ~(uint32_t)VLY_CMSG_SEGMENT)
		buffer->info = *vly_packet_get_info(view);
	vly_packet_keep(view, buffer);
}

static void push(struct vly_handler *handler)
{
	uint32_t n;

	if (handler->n_pending == 0)
		return;
	n = vly_ring_push(&handler->rx, handler->pending, handler->n_pending);
	assert(n == handler->n_pending); /* n_out keeps it within the ring */
	(void)n;
	handler->n_pending = 0;
	wake(handler);
}

uint32_t vly_handlers_count_room(const struct volley_worker *worker)
{
	uint32_t n_least = worker->shared->config.n_ring;

	for (uint32_t i = 0; i < worker->crew.n_handlers; i++) {
		uint32_t n = worker->shared->config.n_ring - worker->crew.handlers[i].n_out;

		n_least = n < n_least ? n : n_least;
	}
	return n_least;
}

/* Whether what its sockets hold is served to the last datagram, and there is time for it. */
static bool is_draining(const struct volley_worker *worker, const struct vly_listener *listener)
{
	return vly_drain_is_on(worker->shared) ||
	       vly_drain_is_listener_on(worker->shared, listener);
}

/* A drain waits where otherwise the newest is dropped. True: look again. */
static bool wait_for_room(struct volley_worker *worker, const struct vly_listener *listener,
			  uint32_t n_looks)
{
	if (!is_draining(worker, listener))
		return false;
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++) {
		push(&worker->crew.handlers[i]);
		take(worker, &worker->crew.handlers[i]);
	}
	vly_outbox_flush(worker); /* replies keep their packets' buffers until they are sent */
	vly_handlers_take_sent(worker);
	vly_thread_yield(n_looks); /* ends by time; handlers go on meanwhile */
	return true;
}

/* A buffer for a packet that goes to this handler, or NULL after counting why there is none. */
static struct vly_buffer *get_buffer(struct volley_worker *worker, struct vly_handler *handler,
				     const struct volley_packet *view)
{
	enum volley_rx_drop reason;
	uint32_t n_looks = 0;

	do {
		struct vly_buffer *buffer = NULL;

		reason = VOLLEY_RX_RING_FULL;
		if (handler->n_out < worker->shared->config.n_ring) {
			reason = VOLLEY_RX_POOL_FULL;
			buffer = vly_buffers_take(worker->crew.packets, view->len);
		}
		if (buffer != NULL)
			return buffer;
	} while (wait_for_room(worker, vly_packet_get_listener(view), n_looks++));
	if (vly_drain_is_over(worker->shared) ||
	    vly_drain_has_listener(vly_packet_get_listener(view))) /* nobody would show it */
		reason = VOLLEY_RX_STOPPED;
	vly_ledger_drop_rx(&worker->books, reason);
	return NULL;
}

/* The fewest packets; of several such, the next in turn, so that idle ones all get some. */
static struct vly_handler *find_least(struct vly_crew *crew)
{
	struct vly_handler *least = &crew->handlers[crew->next_index];

	for (uint32_t i = 1; i < crew->n_handlers && least->n_out > 0; i++) {
		uint32_t k = (crew->next_index + i) % crew->n_handlers;

		if (crew->handlers[k].n_out < least->n_out)
			least = &crew->handlers[k];
	}
	crew->next_index = (least->index + 1) % crew->n_handlers;
	return least;
}

static struct vly_handler *choose(struct vly_crew *crew, const struct volley_packet *view)
{
	if (crew->n_handlers <= 1)
		return &crew->handlers[0];
	if (vly_packet_get_listener(view)->config.spread == VOLLEY_SPREAD_ANY)
		return find_least(crew);
	return &crew->handlers[vly_addr_pick(view->peer, crew->n_handlers)];
}

void vly_handlers_give(struct volley_worker *worker, const struct volley_packet *views, uint32_t n)
{
	const struct volley_config *config = &worker->shared->config;
	uint64_t deadline_ns = 0;

	assert(vly_self_is_allowed(&worker->self));
	if (VLY_UNLIKELY(!worker->crew.is_open)) { /* they would never look */
		for (uint32_t i = 0; i < n; i++)
			vly_ledger_drop_rx(&worker->books, VOLLEY_RX_STOPPED);
		return;
	}
	if (config->max_age_us > 0)
		deadline_ns = vly_clock_get_ns() + vly_clock_convert_us(config->max_age_us);
	for (uint32_t i = 0; i < n; i++) {
		struct vly_handler *handler = choose(&worker->crew, &views[i]);
		struct vly_buffer *buffer = get_buffer(worker, handler, &views[i]);

		if (buffer == NULL)
			continue;
		fill(&views[i], buffer, deadline_ns);
		handler->pending[handler->n_pending++] = buffer->index;
		handler->n_out++;
		buffer->sock->n_handled++;
		vly_ledger_queue_rx(&worker->books);
	}
	for (uint32_t i = 0; i < worker->crew.n_handlers; i++)
		push(&worker->crew.handlers[i]);
}

/* Back ---------------------------------------------------------------------------------------- */

static void count_packet(struct volley_worker *worker, const struct vly_buffer *buffer)
{
	static const enum volley_tx_drop reasons[VLY_HANDLER_N_FAILURES] = {
		[VLY_HANDLER_TOO_LONG] = VOLLEY_TX_EMSGSIZE,
		[VLY_HANDLER_REFUSED] = VOLLEY_TX_REFUSED,
		[VLY_HANDLER_NO_BUFFER] = VOLLEY_TX_NO_BUFFER,
	};
	struct vly_books *books = &worker->books;

	vly_ledger_unqueue_rx(books);
	if (buffer->state == VLY_HANDLER_EXPIRED)
		vly_ledger_drop_rx(books, VOLLEY_RX_EXPIRED);
	else if (buffer->state == VLY_HANDLER_STOPPED)
		vly_ledger_drop_rx(books, VOLLEY_RX_STOPPED);
	else
		vly_ledger_count_delivered(books, 1);
	for (uint32_t i = 0; i < VLY_HANDLER_N_FAILURES; i++) {
		if (VLY_LIKELY(buffer->n_failed[i] == 0))
			continue;
		vly_ledger_request_tx(books, buffer->n_failed[i]);
		vly_ledger_drop_tx(books, reasons[i], buffer->n_failed[i]);
	}
}

/* A send of a handler's names its socket, which may be gone; a packet keeps the one it came by. */
static struct vly_sock *find_sock(const struct volley_worker *worker,
				  const struct vly_buffer *buffer)
{
	if (buffer->sock != NULL)
		return buffer->sock;
	return vly_socks_find(&worker->socks, buffer->sock_index, buffer->sock_serial);
}

static void take_entry(struct volley_worker *worker, struct vly_handler *handler, uint32_t entry)
{
	bool is_own = entry & VLY_HANDLER_OWN;
	struct vly_buffer *buffer = is_own ? vly_buffers_get(handler->own, entry & ~VLY_HANDLER_OWN)
					   : &handler->packets[entry];
	struct vly_sock *sock = find_sock(worker, buffer);

	assert((entry & ~VLY_HANDLER_OWN) < 1u << 30);
	if (VLY_UNLIKELY(sock == NULL))
		vly_ledger_set_own(&worker->books);
	else if (vly_ledger_get_account(&worker->books) != &sock->account)
		vly_ledger_set_account(&worker->books, &sock->account);
	if (is_own) {
		buffer->pool = VLY_POOL_HANDLER;
		buffer->owner = (uint16_t)handler->index;
	} else {
		handler->n_out--;
		buffer->sock->n_handled--;
		count_packet(worker, buffer);
		if (buffer->reply == NULL) {
			vly_buffers_put(worker->crew.packets, buffer);
			return;
		}
	}
	vly_ledger_request_tx(&worker->books, 1);
	if (sock != NULL) {
		vly_outbox_add_buffer(worker, sock, buffer);
		return;
	}
	vly_ledger_drop_tx(&worker->books, VOLLEY_TX_STOPPED, 1);
	put(worker, buffer);
}

/* What is in the ring, announced or not. */
static void take(struct volley_worker *worker, struct vly_handler *handler)
{
	struct vly_account *before = vly_ledger_get_account(&worker->books);
	uint32_t entries[64];
	uint32_t n;

	while ((n = vly_ring_pop(&handler->tx, entries, 64)) > 0)
		for (uint32_t i = 0; i < n; i++)
			take_entry(worker, handler, entries[i]);
	vly_ledger_set_account(&worker->books, before);
}

void vly_handlers_take(struct volley_worker *worker, struct vly_inbox_node *mail)
{
	struct vly_handler *handler = VLY_CONTAINER_OF(mail, struct vly_handler, mail);

	assert(vly_self_is_allowed(&worker->self));
	/*
	 * Only here, where the node is out of the inbox: it must not be pushed while it is in it.
	 * acq_rel: what comes after this look into the ring is announced anew.
	 */
	atomic_exchange_explicit(&handler->mailed, false, memory_order_acq_rel);
	take(worker, handler);
}

bool vly_handlers_give_up(struct vly_sock *sock)
{
	atomic_store_explicit(&sock->is_given_up, true, memory_order_relaxed);
	return sock->n_handled == 0;
}
