/* SPDX-License-Identifier: MIT */

/*
 * The worker's side of its handlers: packets go out, packets and answers come back.
 *
 *     views -> copied into packet buffers -> rx ring of the handler that has the flow
 *     inbox: "handler k has something" -> tx ring -> counted, answers to the outbox -> buffers
 *
 * A client's packets go to one handler, by a hash of its address and port, so that they stay in
 * order. A handler has at most n_ring packets at a time, in its rings and in its hands: then it is
 * full, and the newest is dropped as `ring_full`. Neither ring can overflow, so neither side ever
 * waits for the other.
 *
 * Packets that a handler has are `rx_queued` in the worker's counters until they come back, and
 * only the worker counts.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <volley/error.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/handler.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/addr.h"
#include "sys/clock.h"
#include "sys/wake.h"

/* A datagram beyond a jumbo frame is rare; a handler can have this many at a time. */
enum { N_LARGE = 8 };

/* Memory -------------------------------------------------------------------------------------- */

static uint64_t count_bytes(const uint32_t n_buffers[VLY_BUFFERS_N_CLASSES])
{
	uint64_t n_bytes = 0;

	for (uint32_t i = 0; i < VLY_BUFFERS_N_CLASSES; i++)
		n_bytes += (uint64_t)n_buffers[i] * vly_buffers_class_bytes[i];
	return n_bytes;
}

static int init_handler(struct volley_worker *worker, struct vly_handler *handler)
{
	const struct volley_allocator *allocator = worker->server->config.allocator;
	uint32_t n_ring = worker->server->config.n_ring;
	const uint32_t n_own[VLY_BUFFERS_N_CLASSES] = { n_ring, n_ring, N_LARGE };
	uint32_t n_out = VLY_HANDLER_N_VIEWS + 2 * n_ring + N_LARGE;
	int r;

	handler->event_fd = vly_wake_open();
	if (handler->event_fd < 0)
		return handler->event_fd;
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
	worker->memory_bytes += count_bytes(n_own);
	return 0;
}

int vly_handlers_init(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->server->config;
	uint32_t n = config->n_handlers;
	const uint32_t n_packets[VLY_BUFFERS_N_CLASSES] = { n * config->n_ring, n * config->n_ring,
							    n * N_LARGE };
	int r = 0;

	if (n == 0)
		return 0;
	worker->packets = vly_buffers_new(config->allocator, n_packets);
	worker->handlers = vly_mem_new(config->allocator, n, sizeof *worker->handlers);
	if (worker->packets == NULL || worker->handlers == NULL)
		return -ENOMEM;
	worker->n_handlers = n;
	worker->memory_bytes += count_bytes(n_packets);
	for (uint32_t i = 0; i < n; i++)
		worker->handlers[i].event_fd = -1;
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct vly_handler *handler = &worker->handlers[i];

		handler->worker = worker;
		handler->index = i;
		handler->packets = vly_buffers_at(worker->packets, 0);
		r = init_handler(worker, handler);
	}
	return r;
}

void vly_handlers_fini(struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->n_handlers; i++) {
		struct vly_handler *handler = &worker->handlers[i];

		vly_mem_free(handler->out);
		vly_mem_free(handler->views);
		vly_buffers_free(handler->own);
		vly_ring_fini(&handler->spare);
		vly_ring_fini(&handler->tx);
		vly_ring_fini(&handler->rx);
		vly_wake_close(handler->event_fd);
	}
	vly_mem_free(worker->handlers);
	vly_buffers_free(worker->packets);
}

/* Life ---------------------------------------------------------------------------------------- */

static int start_handler(struct vly_handler *handler)
{
	struct volley_server *server = handler->worker->server;
	char name[16];
	int r;

	handler->reported = false;
	handler->handle = NULL;
	atomic_store_explicit(&handler->command, VLY_HANDLER_SERVE, memory_order_relaxed);
	atomic_store_explicit(&handler->left, false, memory_order_relaxed);
	snprintf(name, sizeof name, "volley-%u.%u", handler->worker->index % 10000,
		 handler->index % 1000);
	r = vly_thread_start(&handler->thread, name, vly_handler_main, handler);
	if (r < 0)
		return r;
	handler->started = true;
	vly_lock_take(&server->lock);
	while (!handler->reported)
		vly_cond_wait(&server->changed, &server->lock);
	r = handler->start_result;
	vly_lock_give(&server->lock);
	return r;
}

int vly_handlers_start(struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->n_handlers; i++) {
		int r = start_handler(&worker->handlers[i]);

		if (r < 0) {
			vly_log_write(&worker->server->config, VOLLEY_LOG_ERROR,
				      "worker %u: handler %u of %u cannot start: %s", worker->index,
				      i, worker->n_handlers, volley_error_name(r));
			return r;
		}
	}
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
	for (uint32_t i = 0; i < worker->n_handlers; i++)
		give_command(&worker->handlers[i], VLY_HANDLER_DRAIN);
}

bool vly_handlers_test_left(const struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->n_handlers; i++)
		if (!atomic_load_explicit(&worker->handlers[i].left, memory_order_acquire))
			return false;
	return true;
}

static void take(struct volley_worker *worker, struct vly_handler *handler);

void vly_handlers_stop(struct volley_worker *worker)
{
	for (uint32_t i = 0; i < worker->n_handlers; i++) {
		struct vly_handler *handler = &worker->handlers[i];

		if (!handler->started)
			continue;
		give_command(handler, VLY_HANDLER_STOP);
		if (handler->handle != NULL)
			volley_cancel_request(handler->handle); /* -ESRCH: it has left already */
	}
	for (uint32_t i = 0; i < worker->n_handlers; i++) {
		struct vly_handler *handler = &worker->handlers[i];

		if (!handler->started)
			continue;
		vly_thread_join(&handler->thread);
		handler->started = false;
		volley_cancel_unref(handler->handle);
		take(worker, handler);
	}
}

bool vly_handlers_test_tid(const struct volley_worker *worker, pid_t tid)
{
	for (uint32_t i = 0; i < worker->n_handlers; i++)
		if (atomic_load_explicit(&worker->handlers[i].tid, memory_order_relaxed) == tid)
			return true;
	return false;
}

/* There --------------------------------------------------------------------------------------- */

static void fill(struct volley_worker *worker, const struct volley_packet *view,
		 struct vly_buffer *buffer, uint64_t deadline_ns)
{
	memcpy(buffer->data, view->data, view->len);
	buffer->len = view->len;
	buffer->flags = view->flags;
	buffer->pool = VLY_POOL_PACKETS;
	buffer->state = VLY_HANDLER_DELIVERED;
	buffer->deadline_ns = deadline_ns;
	buffer->answer = NULL;
	memset(buffer->n_failed, 0, sizeof buffer->n_failed);
	/* TTL and the like, where the listener asks the kernel for anything. */
	if (view->listener->want != 0)
		buffer->info = worker->slots.infos[VLY_PACKET_INDEX(view->internal)];
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

/*
 * A drain serves what is queued to the last datagram, so it waits where otherwise the newest is
 * dropped. True: look again.
 */
static bool wait_for_room(struct volley_worker *worker)
{
	if (!vly_worker_is_draining(worker))
		return false;
	for (uint32_t i = 0; i < worker->n_handlers; i++) {
		push(&worker->handlers[i]);
		take(worker, &worker->handlers[i]);
	}
	vly_outbox_flush(worker); /* answers keep their packets' buffers until they are sent */
	vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* ends by time; handlers go on meanwhile */
	return true;
}

/* A buffer for a packet that goes to this handler, or NULL after counting why there is none. */
static struct vly_buffer *get_buffer(struct volley_worker *worker, struct vly_handler *handler,
				     uint32_t len)
{
	enum volley_rx_drop reason;

	do {
		struct vly_buffer *buffer = NULL;

		reason = VOLLEY_RX_RING_FULL;
		if (handler->n_out < worker->server->config.n_ring) {
			reason = VOLLEY_RX_POOL_FULL;
			buffer = vly_buffers_get(worker->packets, len);
		}
		if (buffer != NULL)
			return buffer;
	} while (wait_for_room(worker));
	worker->counts.rx_dropped[reason]++;
	return NULL;
}

void vly_handlers_give(struct volley_worker *worker, const struct volley_packet *views, uint32_t n)
{
	const struct volley_config *config = &worker->server->config;
	uint64_t deadline_ns = 0;

	if (config->max_age_us > 0)
		deadline_ns = vly_clock_now_ns() + config->max_age_us * UINT64_C(1000);
	for (uint32_t i = 0; i < n; i++) {
		struct vly_handler *handler =
			&worker->handlers[vly_addr_pick(views[i].peer, worker->n_handlers)];
		struct vly_buffer *buffer = get_buffer(worker, handler, views[i].len);

		if (buffer == NULL)
			continue;
		fill(worker, &views[i], buffer, deadline_ns);
		handler->pending[handler->n_pending++] = buffer->index;
		handler->n_out++;
		worker->ports[buffer->listener].n_handled++;
		worker->counts.rx_queued++;
	}
	for (uint32_t i = 0; i < worker->n_handlers; i++)
		push(&worker->handlers[i]);
}

/* Back ---------------------------------------------------------------------------------------- */

static void count_packet(struct volley_worker *worker, const struct vly_buffer *buffer)
{
	static const enum volley_tx_drop reasons[VLY_HANDLER_N_FAILURES] = {
		[VLY_HANDLER_TOO_LONG] = VOLLEY_TX_EMSGSIZE,
		[VLY_HANDLER_REFUSED] = VOLLEY_TX_REFUSED,
		[VLY_HANDLER_NO_BUFFER] = VOLLEY_TX_NO_BUFFER,
	};
	struct volley_stats *counts = &worker->counts;

	counts->rx_queued--;
	if (buffer->state == VLY_HANDLER_EXPIRED)
		counts->rx_dropped[VOLLEY_RX_EXPIRED]++;
	else if (buffer->state == VLY_HANDLER_STOPPED)
		counts->rx_dropped[VOLLEY_RX_STOPPED]++;
	else
		counts->delivered++;
	for (uint32_t i = 0; i < VLY_HANDLER_N_FAILURES; i++) {
		counts->tx_requested += buffer->n_failed[i];
		counts->tx_dropped[reasons[i]] += buffer->n_failed[i];
	}
}

static void take_entry(struct volley_worker *worker, struct vly_handler *handler, uint32_t entry)
{
	struct vly_buffer *buffer;

	if (entry & VLY_HANDLER_OWN) {
		buffer = vly_buffers_at(handler->own, entry & ~VLY_HANDLER_OWN);
		buffer->pool = VLY_POOL_HANDLER;
		buffer->owner = (uint16_t)handler->index;
	} else {
		buffer = &handler->packets[entry];
		handler->n_out--;
		worker->ports[buffer->listener].n_handled--;
		count_packet(worker, buffer);
		if (buffer->answer == NULL) {
			vly_buffers_put(worker->packets, buffer);
			return;
		}
	}
	worker->counts.tx_requested++;
	vly_outbox_add(worker, buffer);
}

/* What is in the ring, announced or not. */
static void take(struct volley_worker *worker, struct vly_handler *handler)
{
	uint32_t entries[64];
	uint32_t n;

	while ((n = vly_ring_pop(&handler->tx, entries, 64)) > 0)
		for (uint32_t i = 0; i < n; i++)
			take_entry(worker, handler, entries[i]);
}

void vly_handlers_take(struct volley_worker *worker, struct vly_inbox_node *mail)
{
	struct vly_handler *handler = VLY_CONTAINER_OF(mail, struct vly_handler, mail);

	/*
	 * Only here, where the node is out of the inbox: it must not be pushed while it is in it.
	 * acq_rel: what comes after this look into the ring is announced anew.
	 */
	atomic_exchange_explicit(&handler->mailed, false, memory_order_acq_rel);
	take(worker, handler);
}

void vly_handlers_put(struct volley_worker *worker, struct vly_buffer *buffer)
{
	if (buffer->pool == VLY_POOL_PACKETS)
		vly_buffers_put(worker->packets, buffer);
	else
		vly_ring_push(&worker->handlers[buffer->owner].spare, &buffer->index, 1);
}
