/* SPDX-License-Identifier: MIT */

/*
 * A handler's thread: takes packets out of its ring, calls back, and sends packets and replies back
 * through another ring. Everything a packet needs is in its buffer, which is the handler's from the
 * rx ring to the tx ring.
 *
 *     rx ring -> views -> callback -> replies: in the packet's buffer, or in one of its own
 *                                  -> tx ring, in the order of the replies; the worker is told
 *
 * How many packets it takes at a time follows from how long the last ones took: the replies of one
 * batch leave together, so a batch of slow callbacks would make the first wait for the last.
 *
 * It sleeps in a cancellation point on its eventfd. Before that it says so and looks at its ring
 * once more; the worker puts packets into the ring and then looks whether it sleeps. Both do so by
 * an exchange of the same flag, so one of them sees the other.
 *
 * The counters of the ledger are the worker's: what a handler did to a packet is noted in its
 * buffer and counted when it comes back. What belongs to no packet, a send that fails, is counted
 * as other threads' are: remote.c.
 */

#include "path/handler.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "path/packet.h"
#include "path/remote.h"
#include "path/route.h"
#include "path/worker.h"
#include "sys/clock.h"
#include "sys/poll.h"
#include "sys/wake.h"

/* A batch shall take this long: much longer than a wake, much shorter than a client's patience. */
enum { BATCH_NS = 100000 };

/*
 * A callback is given its worker, not its handler, so the thread knows it. One of the two
 * exceptions to "no writable globals"; the other one is the cancellation module's.
 */
static _Thread_local struct vly_handler *mine;

struct vly_handler *vly_handler_self(void)
{
	return mine;
}

static uint32_t get_command(const struct vly_handler *handler)
{
	return atomic_load_explicit(&handler->command, memory_order_acquire);
}

/* Replies ------------------------------------------------------------------------------------- */

static void put_out(struct vly_handler *handler, uint32_t entry)
{
	handler->out[handler->n_out_entries++] = entry;
}

static int fail(struct vly_buffer *packet, enum vly_handler_failure failure, int error)
{
	packet->n_failed[failure]++;
	return error;
}

static struct vly_handler *get_handler(const struct volley_packet *packet)
{
	return &packet->worker->crew.handlers[VLY_PACKET_INDEX(packet->internal)];
}

/* The open room that a reply was written into, which is closed; NULL: it was none of ours. */
static struct vly_buffer *close_room(struct vly_handler *handler, const uint8_t *data, size_t len)
{
	for (uint32_t i = 0; i < handler->n_rooms; i++) {
		struct vly_buffer *room = handler->rooms[i];
		uintptr_t at = (uintptr_t)data - (uintptr_t)room->data;

		if (at >= vly_buffer_get_capacity(room) || len > vly_buffer_get_capacity(room) - at)
			continue;
		handler->rooms[i] = handler->rooms[--handler->n_rooms];
		return room;
	}
	return NULL;
}

static struct vly_buffer *copy(struct vly_handler *handler, const uint8_t *data, size_t len)
{
	struct vly_buffer *buffer = vly_buffers_take(handler->own, (uint32_t)len);

	if (buffer != NULL && len > 0)
		memcpy(buffer->data, data, len);
	return buffer;
}

int vly_handler_refuse(struct volley_packet *packet)
{
	return fail(vly_packet_get_buffer(packet), VLY_HANDLER_REFUSED, -EINVAL);
}

/* One that lies in its packet leaves from there, unless it goes another way than the next would. */
static bool stays(const struct volley_packet *packet, const uint8_t *data, size_t len,
		  const struct vly_route *route)
{
	uintptr_t at = (uintptr_t)data - (uintptr_t)packet->data;

	if ((packet->internal & VLY_PACKET_REPLIED) || route != NULL)
		return false;
	return len == 0 || (at < packet->capacity && len <= packet->capacity - at);
}

static void address(const struct vly_buffer *request, const struct vly_route *route,
		    struct vly_buffer *own)
{
	own->peer = request->peer;
	own->header = request->header;
	own->info = request->info;
	if (route != NULL)
		vly_route_keep(route, own);
	own->sock = request->sock;
}

int vly_handler_reply(struct volley_packet *packet, const uint8_t *data, size_t len,
		      const struct vly_route *route)
{
	struct vly_handler *handler = get_handler(packet);
	struct vly_buffer *buffer = vly_packet_get_buffer(packet);
	struct vly_buffer *own;

	if (len > VLY_MAX_PAYLOAD && data != NULL)
		return fail(buffer, VLY_HANDLER_TOO_LONG, -EMSGSIZE);
	if ((data == NULL && len > 0) || vly_packet_has_bad_peer(packet) ||
	    (route != NULL && route->is_refused))
		return vly_handler_refuse(packet);
	if (stays(packet, data, len, route)) {
		packet->internal |= VLY_PACKET_REPLIED;
		buffer->reply = len == 0 ? packet->data : data;
		buffer->reply_len = (uint32_t)len;
		put_out(handler, buffer->index);
		return 0;
	}
	own = close_room(handler, data, len);
	if (own == NULL) {
		own = copy(handler, data, len);
		data = own != NULL ? own->data : NULL;
	}
	if (own == NULL)
		return fail(buffer, VLY_HANDLER_NO_BUFFER, -ENOBUFS);
	packet->internal |= VLY_PACKET_REPLIED;
	own->reply = data;
	own->reply_len = (uint32_t)len;
	address(buffer, route, own);
	put_out(handler, own->index | VLY_HANDLER_OWN);
	return 0;
}

/*
 * In line with the replies. What fails is counted at once, where the other failures of threads that
 * are not the worker's are: the listener that sends need not be that of any packet.
 */
int vly_handler_send(struct vly_handler *handler, struct volley_listener listener,
		     const struct volley_addr *peer, const void *data, size_t len,
		     const struct volley_send_options *options)
{
	struct volley_worker *worker = handler->worker;
	struct vly_route route;
	struct vly_buffer *own;
	int r = vly_route_find_all(worker, listener, peer, options, &route);

	assert(vly_self_is_me(&handler->self));
	if (r < 0)
		return r;
	if (route.if_room && vly_remote_request_room(worker, &route))
		return -EAGAIN;
	if (len > VLY_MAX_PAYLOAD)
		return vly_remote_refuse_send(worker, &route, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (route.is_refused)
		return vly_remote_refuse_send(worker, &route, VOLLEY_TX_REFUSED, -EINVAL);
	own = copy(handler, data, len);
	if (own == NULL)
		return vly_remote_refuse_send(worker, &route, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	own->reply = own->data;
	own->reply_len = (uint32_t)len;
	vly_route_keep(&route, own);
	put_out(handler, own->index | VLY_HANDLER_OWN);
	return 0;
}

void *vly_handler_get_room(struct volley_packet *packet, size_t need, size_t *ret_capacity)
{
	struct vly_handler *handler = get_handler(packet);
	struct vly_buffer *room;

	if (handler->n_rooms == VLY_HANDLER_N_ROOMS)
		return NULL;
	room = vly_buffers_take(handler->own, (uint32_t)need);
	if (room == NULL)
		return NULL;
	handler->rooms[handler->n_rooms++] = room;
	if (ret_capacity != NULL)
		*ret_capacity = vly_buffer_get_capacity(room);
	return room->data;
}

/* Calling back -------------------------------------------------------------------------------- */

static void make_view(struct vly_handler *handler, struct vly_buffer *buffer,
		      struct volley_packet *view)
{
	const struct volley_addr *local = vly_buffer_get_local(buffer);
	struct vly_listener *listener = buffer->sock->listener;

	view->data = buffer->data;
	view->len = buffer->len;
	view->capacity = vly_buffer_get_capacity(buffer);
	view->peer = &buffer->peer;
	view->local = &listener->addr;
	view->listener.id = listener->id;
	view->worker = handler->worker;
	view->flags = buffer->flags;
	view->internal = VLY_PACKET_HANDLED | handler->index;
	if (local != NULL)
		vly_packet_set_local(view, local);
	view->reserved = (uintptr_t)buffer;
}

/* One packet at a time, and no further when the worker stops. Returns how many were shown. */
static uint32_t call_each(struct vly_handler *handler, const struct volley_listen_config *config,
			  uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (get_command(handler) == VLY_HANDLER_STOP)
			return i;
		config->on_packet(handler->worker, &handler->views[i], config->arg);
	}
	return n;
}

/* Views 0 to n - 1 are of one listener. */
static void call_back(struct vly_handler *handler, uint32_t n)
{
	const struct volley_listen_config *config;
	uint32_t n_shown = 0;

	if (n == 0)
		return;
	config = &vly_packet_get_listener(&handler->views[0])->config;
	if (config->on_packet != NULL) {
		n_shown = call_each(handler, config, n);
	} else if (get_command(handler) != VLY_HANDLER_STOP) {
		config->on_batch(handler->worker, handler->views, n, config->arg);
		n_shown = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct vly_buffer *buffer = vly_packet_get_buffer(&handler->views[i]);

		if (i >= n_shown)
			buffer->state = VLY_HANDLER_STOPPED;
		if (buffer->reply == NULL)
			put_out(handler, buffer->index);
	}
	while (handler->n_rooms > 0)
		vly_buffers_put(handler->own, handler->rooms[--handler->n_rooms]);
}

/* The worker looks into the tx ring, and at all else that it looks at before it sleeps. */
static void tell_worker(struct vly_handler *handler)
{
	/* acq_rel: the worker takes the flag back and then looks into the ring */
	if (atomic_exchange_explicit(&handler->mailed, true, memory_order_acq_rel))
		return;
	vly_mail_push(&handler->worker->mail, &handler->mail, VLY_MAIL_HANDLER);
}

void vly_handler_wake_worker(const struct volley_packet *packet)
{
	tell_worker(get_handler(packet));
}

/* Everything goes back to the worker, which is told once until it has looked. */
static void give_back(struct vly_handler *handler)
{
	uint32_t n = vly_ring_push(&handler->tx, handler->out, handler->n_out_entries);

	assert(n == handler->n_out_entries); /* the ring holds all that a handler can have */
	(void)n;
	handler->n_out_entries = 0;
	tell_worker(handler);
}

static bool admit(const struct vly_handler *handler, struct vly_buffer *buffer, uint64_t now_ns)
{
	if (get_command(handler) == VLY_HANDLER_STOP ||
	    atomic_load_explicit(&buffer->sock->is_given_up, memory_order_relaxed))
		buffer->state = VLY_HANDLER_STOPPED;
	else if (buffer->deadline_ns != 0 && buffer->deadline_ns <= now_ns)
		buffer->state = VLY_HANDLER_EXPIRED;
	return buffer->state == VLY_HANDLER_DELIVERED;
}

static void serve(struct vly_handler *handler, const uint32_t *indices, uint32_t n)
{
	uint64_t start_ns = vly_clock_get_ns();
	uint64_t took_ns;
	uint32_t n_views = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct vly_buffer *buffer = &handler->packets[indices[i]];

		if (!admit(handler, buffer, start_ns)) {
			put_out(handler, buffer->index);
			continue;
		}
		if (n_views > 0 && buffer->sock->listener->id != handler->views[0].listener.id) {
			call_back(handler, n_views);
			n_views = 0;
		}
		make_view(handler, buffer, &handler->views[n_views++]);
	}
	call_back(handler, n_views);
	give_back(handler);
	took_ns = vly_clock_get_ns() - start_ns;
	if (took_ns > BATCH_NS)
		handler->n_batch = handler->n_batch > 1 ? handler->n_batch / 2 : 1;
	else if (took_ns < BATCH_NS / 2 && n == handler->n_batch && n < VLY_HANDLER_N_VIEWS)
		handler->n_batch *= 2;
}

/* The thread ---------------------------------------------------------------------------------- */

static void take_spare(struct vly_handler *handler)
{
	uint32_t indices[64];
	uint32_t n;

	while ((n = vly_ring_pop(&handler->spare, indices, 64)) > 0)
		for (uint32_t i = 0; i < n; i++)
			vly_buffers_put(handler->own, vly_buffers_get(handler->own, indices[i]));
}

static void sleep_until_woken(struct vly_handler *handler)
{
	struct pollfd fd = { .fd = handler->event_fd, .events = POLLIN };

	/* acq_rel: either the worker's exchange sees this, or we see what it did before */
	atomic_exchange_explicit(&handler->asleep, true, memory_order_acq_rel);
	if (vly_ring_count(&handler->rx) == 0 && get_command(handler) == VLY_HANDLER_SERVE &&
	    vly_poll_wait_point(&fd, 1, -1) > 0)
		vly_wake_take(handler->event_fd);
	atomic_exchange_explicit(&handler->asleep, false, memory_order_acq_rel);
}

static void run(struct vly_handler *handler)
{
	uint32_t indices[VLY_HANDLER_N_VIEWS];

	for (;;) {
		/* Read before the ring: what was put in before the command is served. */
		uint32_t command = get_command(handler);
		uint32_t n = vly_ring_pop(&handler->rx, indices, handler->n_batch);

		take_spare(handler);
		if (n > 0)
			serve(handler, indices, n);
		else if (command != VLY_HANDLER_SERVE)
			return;
		else
			sleep_until_woken(handler);
	}
}

static void set_name(const struct vly_handler *handler)
{
	char name[16];

	snprintf(name, sizeof name, "volley-%u.%u", handler->worker->index % 10000,
		 handler->index % 1000);
	vly_thread_set_name(name);
}

void *vly_handler_run(void *arg)
{
	struct vly_handler *handler = arg;
	int r;

	set_name(handler);
	vly_self_enter(&handler->self);
	mine = handler;
	handler->n_batch = 1;
	r = volley_cancel_attach(&handler->handle);
	vly_gate_post(&handler->gate, r);
	if (r >= 0)
		run(handler);
	volley_cancel_detach();
	mine = NULL;
	vly_self_leave(&handler->self);
	/* release: the worker that sees it finds all that we gave back */
	atomic_store_explicit(&handler->left, true, memory_order_release);
	return NULL;
}
