/* SPDX-License-Identifier: MIT */

/*
 * Held packets: a reply that comes later, from any thread, by a token.
 *
 *     callback:    hold  ---------> HELD, in a list by deadline -- time over, stop --> free
 *     any thread:  reply -> remote.c -> inbox -> worker
 *     any thread:  release ------------------------------------------------------> free
 *
 * A token names a worker, a buffer, and the buffer's generation, which moves on whenever holding
 * ends, by whatever. All of it happens under the worker's lock (remote.c), so of two threads that
 * use one token, or of one thread and the clock, exactly one succeeds. Buffers are never freed
 * before the server, and generations go on over stop and start, so a stale token is found out.
 *
 * A deadline holds whatever the worker does meanwhile: whoever uses a token, or a place among those
 * that are held, first ends what is over. The worker's timer is for those whom nobody asks about. A
 * handler that holds wakes the worker for it, when nothing else was held.
 */

#include "path/held.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "path/handler.h"
#include "path/packet.h"
#include "path/remote.h"
#include "sys/clock.h"

/* vly_buffer.state; REFUSED is held too, and its reply would go to nobody. */
enum { FREE = 0, HELD, REFUSED };

/* volley_held.id: generation, worker (at most 1,024), index. */
enum { INDEX_BITS = 22, WORKER_BITS = 10 };
#define INDEX_MASK  ((UINT32_C(1) << INDEX_BITS) - 1)
#define WORKER_MASK ((UINT32_C(1) << WORKER_BITS) - 1)

void vly_held_init(struct volley_worker *worker)
{
	/* So that a token of another server, or of an earlier run of the program, is stale here. */
	worker->held.seed = (uint32_t)(vly_clock_get_ns() * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

bool vly_held_has_any(const struct volley_worker *worker)
{
	return atomic_load_explicit(&worker->held.n, memory_order_relaxed) > 0;
}

static void set_n(struct vly_held *held, uint32_t change)
{
	uint32_t n = atomic_load_explicit(&held->n, memory_order_relaxed);

	atomic_store_explicit(&held->n, n + change, memory_order_relaxed);
}

/* Every packet of a socket that was ever held stands under one name. */
static VLY_FOR_ASSERT bool is_balanced(const struct vly_outside *outside)
{
	return outside->held_taken == outside->held_replied + outside->held_released +
					      outside->held_expired + outside->held_abandoned +
					      outside->held_now;
}

static void link_held(struct vly_held *held, struct vly_buffer *buffer)
{
	buffer->node.next = NULL;
	buffer->previous = held->last;
	if (held->last != NULL)
		held->last->node.next = &buffer->node;
	else
		held->first = buffer;
	held->last = buffer;
	buffer->sock->outside.held_taken++;
	buffer->sock->outside.held_now++;
	set_n(held, 1);
	assert(is_balanced(&buffer->sock->outside));
}

/* Holding ends: the token is used up, and one of the counts says how. */
static void unlink_held(struct vly_held *held, struct vly_buffer *buffer, uint64_t *count)
{
	struct vly_buffer *next = vly_buffer_get_next(buffer);

	if (next != NULL)
		next->previous = buffer->previous;
	else
		held->last = buffer->previous;
	if (buffer->previous != NULL)
		buffer->previous->node.next = buffer->node.next;
	else
		held->first = next;
	buffer->state = FREE;
	buffer->generation++;
	(*count)++;
	buffer->sock->outside.held_now--;
	set_n(held, -1u);
	assert(is_balanced(&buffer->sock->outside));
}

static uint32_t get_generation(const struct vly_held *held, const struct vly_buffer *buffer)
{
	return held->seed + buffer->generation;
}

static void hold(struct volley_worker *worker, const struct volley_packet *packet,
		 struct vly_buffer *buffer, uint64_t now_ns, struct volley_held *ret_held)
{
	const struct volley_config *config = &worker->shared->config;

	memcpy(buffer->data, packet->data, packet->len);
	buffer->len = packet->len;
	buffer->deadline_ns = now_ns + vly_clock_convert_us(config->hold_us);
	buffer->state = vly_packet_has_bad_peer(packet) ? REFUSED : HELD;
	vly_packet_keep(packet, buffer);
	buffer->sock_index = buffer->sock->index;
	buffer->sock_serial = buffer->sock->serial;
	link_held(&worker->held, buffer);
	ret_held->id = (uint64_t)get_generation(&worker->held, buffer) << 32 |
		       worker->index << INDEX_BITS | buffer->index;
}

/* End the holding of what has been held for too long. */
static void expire(struct volley_worker *worker, uint64_t now_ns) VLY_REQUIRES(worker->remote.lock)
{
	struct vly_held *held = &worker->held;

	while (held->first != NULL && held->first->deadline_ns <= now_ns) {
		struct vly_buffer *buffer = held->first;

		unlink_held(held, buffer, &buffer->sock->outside.held_expired);
		vly_remote_put_buffer(worker, buffer);
	}
}

int volley_packet_hold(struct volley_packet *packet, struct volley_held *ret_held)
{
	struct vly_buffer *buffer = NULL;
	struct volley_worker *worker;
	struct vly_held *held;
	uint64_t now_ns;
	bool is_first;

	if (packet == NULL || ret_held == NULL)
		return -EINVAL;
	worker = packet->worker;
	if (!vly_process_is_here(&worker->shared->process)) /* forked in the callback */
		return -ESRCH;
	held = &worker->held;
	vly_remote_lock(worker);
	now_ns = vly_clock_get_ns();
	expire(worker, now_ns);
	if (atomic_load_explicit(&held->n, memory_order_relaxed) < worker->shared->config.n_held)
		buffer = vly_remote_get_buffer(worker, packet->len);
	if (buffer != NULL)
		hold(worker, packet, buffer, now_ns, ret_held);
	else
		vly_packet_get_sock(packet)->outside.held_refused++;
	is_first = buffer != NULL && held->first == buffer;
	vly_remote_unlock(worker);
	if (is_first && (packet->internal & VLY_PACKET_HANDLED))
		vly_handler_wake_worker(packet); /* which may sleep longer than that */
	return buffer != NULL ? 0 : -ENOBUFS;
}

uint32_t vly_held_get_worker_index(struct volley_held held)
{
	return (uint32_t)held.id >> INDEX_BITS & WORKER_MASK;
}

/* The buffer that a token names; NULL: it is stale, or is so from now on. */
static struct vly_buffer *find(struct volley_worker *worker, struct volley_held held)
	VLY_REQUIRES(worker->remote.lock)
{
	struct vly_buffer *buffer = vly_remote_find_buffer(worker, (uint32_t)held.id & INDEX_MASK);

	expire(worker, vly_clock_get_ns());
	if (buffer == NULL || buffer->state == FREE ||
	    get_generation(&worker->held, buffer) != held.id >> 32)
		return NULL;
	return buffer;
}

int vly_held_release(struct volley_worker *worker, struct volley_held held)
{
	struct vly_buffer *buffer;

	vly_remote_lock(worker);
	buffer = find(worker, held);
	if (buffer != NULL) {
		unlink_held(&worker->held, buffer, &buffer->sock->outside.held_released);
		vly_remote_put_buffer(worker, buffer);
	}
	vly_remote_unlock(worker);
	return buffer != NULL ? 0 : -ESTALE;
}

int vly_held_get_payload(struct volley_worker *worker, struct volley_held held, void *data,
			 size_t n)
{
	struct vly_buffer *buffer;
	int len = -ESTALE;

	vly_remote_lock(worker);
	buffer = find(worker, held);
	if (buffer != NULL) {
		len = (int)buffer->len;
		if (data != NULL && n > 0)
			memcpy(data, buffer->data, n < buffer->len ? n : buffer->len);
	}
	vly_remote_unlock(worker);
	return len;
}

/* Ends without a reply ------------------------------------------------------------------------- */

void vly_held_expire(struct volley_worker *worker, uint64_t now_ns)
{
	assert(vly_self_is_allowed(&worker->self));
	if (!vly_held_has_any(worker))
		return;
	vly_remote_lock(worker);
	expire(worker, now_ns);
	vly_remote_unlock(worker);
}

uint64_t vly_held_get_deadline(struct volley_worker *worker)
{
	uint64_t deadline_ns = 0;

	assert(vly_self_is_allowed(&worker->self));
	vly_remote_lock(worker);
	if (worker->held.first != NULL)
		deadline_ns = worker->held.first->deadline_ns;
	vly_remote_unlock(worker);
	return deadline_ns;
}

/* NULL: those of all sockets. */
static void abandon(struct volley_worker *worker, const struct vly_sock *sock)
{
	struct vly_held *held = &worker->held;
	struct vly_buffer *next;

	assert(vly_self_is_allowed(&worker->self));
	vly_remote_lock(worker);
	for (struct vly_buffer *buffer = held->first; buffer != NULL; buffer = next) {
		next = vly_buffer_get_next(buffer);
		if (sock != NULL && buffer->sock_serial != sock->serial)
			continue;
		unlink_held(held, buffer, &buffer->sock->outside.held_abandoned);
		vly_remote_put_buffer(worker, buffer);
	}
	vly_remote_unlock(worker);
}

void vly_held_abandon(struct volley_worker *worker)
{
	abandon(worker, NULL);
}

void vly_held_abandon_sock(struct volley_worker *worker, const struct vly_sock *sock)
{
	abandon(worker, sock);
}

bool vly_held_has_sock(struct volley_worker *worker, const struct vly_sock *sock)
{
	struct vly_buffer *buffer;

	vly_remote_lock(worker);
	buffer = worker->held.first;
	while (buffer != NULL && buffer->sock_serial != sock->serial)
		buffer = vly_buffer_get_next(buffer);
	vly_remote_unlock(worker);
	return buffer != NULL;
}

/* Replying ------------------------------------------------------------------------------------- */

/* The reply takes the packet's own buffer, or a larger one in its place. */
static int post(struct volley_worker *worker, struct vly_buffer *held, const void *data,
		uint32_t len, const struct vly_route *route) VLY_REQUIRES(worker->remote.lock)
{
	struct vly_buffer *buffer = held;

	if (len > vly_buffer_get_capacity(held)) {
		buffer = vly_remote_get_buffer(worker, len);
		if (buffer == NULL)
			return vly_remote_refuse(&held->sock->outside, VOLLEY_TX_NO_BUFFER,
						 -ENOBUFS);
		buffer->peer = held->peer;
		buffer->sock_index = held->sock_index;
		buffer->sock_serial = held->sock_serial;
		buffer->header = held->header;
		buffer->info = held->info;
	}
	unlink_held(&worker->held, held, &held->sock->outside.held_replied);
	if (buffer != held)
		vly_remote_put_buffer(worker, held);
	if (route != NULL)
		vly_buffer_set_way(buffer, route->header, &route->local, route->ifindex);
	vly_remote_post(worker, buffer, data, len);
	return 0;
}

static int reply(struct volley_worker *worker, struct vly_buffer *buffer, const void *data,
		 size_t len, const struct vly_route *route) VLY_REQUIRES(worker->remote.lock)
{
	if (route != NULL && route->if_room && vly_socks_request_room(buffer->sock))
		return -EAGAIN;
	if (len > VLY_MAX_PAYLOAD)
		return vly_remote_refuse(&buffer->sock->outside, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (buffer->state == HELD)
		return post(worker, buffer, data, (uint32_t)len, route);
	vly_remote_refuse(&buffer->sock->outside, VOLLEY_TX_REFUSED, -EINVAL);
	unlink_held(&worker->held, buffer, &buffer->sock->outside.held_replied);
	vly_remote_put_buffer(worker, buffer);
	return -EINVAL;
}

static int reply_with(struct volley_worker *worker, struct vly_buffer *buffer, const void *data,
		      size_t len, const struct volley_send_options *options)
	VLY_REQUIRES(worker->remote.lock)
{
	struct vly_route route;

	if (options == NULL)
		return reply(worker, buffer, data, len, NULL);
	/* The token of a peer that may be replied to outlives options by which it may not. */
	if (vly_route_find_reply(buffer->sock->listener, &buffer->peer,
				 vly_buffer_get_local(buffer), buffer->info.reply_ifindex, options,
				 &route) < 0 ||
	    (route.is_refused && buffer->state == HELD))
		return vly_remote_refuse(&buffer->sock->outside, VOLLEY_TX_REFUSED, -EINVAL);
	return reply(worker, buffer, data, len, &route);
}

int vly_held_reply(struct volley_worker *worker, struct volley_held held, const void *data,
		   size_t len, const struct volley_send_options *options)
{
	struct vly_buffer *buffer;
	int r = -ESTALE;

	vly_remote_lock(worker);
	buffer = find(worker, held);
	if (buffer != NULL)
		r = reply_with(worker, buffer, data, len, options);
	vly_remote_unlock(worker);
	return r;
}
