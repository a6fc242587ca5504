/* SPDX-License-Identifier: MIT */

/*
 * Held packets: an answer that comes later, from any thread, by a token.
 *
 *     callback:    hold  ---------> HELD, in a list by deadline -- time over, stop --> free
 *     any thread:  reply -> remote.c -> inbox -> worker
 *     any thread:  release ------------------------------------------------------> free
 *
 * A token names a worker, a buffer, and the buffer's generation, which moves on whenever holding
 * ends, by whatever. All of it happens under the worker's lock (remote.c), so of two threads that
 * use one token, or of one thread and the clock, exactly one succeeds. Buffers are never freed
 * before the server, and generations go on over stop and start, so a stale token is found out.
 */

#include <errno.h>
#include <string.h>

#include <volley/send.h>

#include "path/held.h"
#include "path/packet.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/clock.h"

/* vly_buffer.state */
enum { FREE = 0, HELD };

/* volley_held.id: generation, worker (at most 1,024), index. */
enum { INDEX_BITS = 22, WORKER_BITS = 10 };
#define INDEX_MASK  ((UINT32_C(1) << INDEX_BITS) - 1)
#define WORKER_MASK ((UINT32_C(1) << WORKER_BITS) - 1)

static struct vly_buffer *get_next(const struct vly_buffer *buffer)
{
	if (buffer->node.next == NULL)
		return NULL;
	return VLY_CONTAINER_OF(buffer->node.next, struct vly_buffer, node);
}

static void set_n_held(struct vly_remote *remote, int change)
{
	uint32_t n = atomic_load_explicit(&remote->n_held, memory_order_relaxed);

	atomic_store_explicit(&remote->n_held, n + (uint32_t)change, memory_order_relaxed);
	remote->counts.held_now = n + (uint32_t)change;
}

static void link_held(struct vly_remote *remote, struct vly_buffer *buffer)
{
	buffer->state = HELD;
	buffer->node.next = NULL;
	buffer->previous = remote->held_last;
	if (remote->held_last != NULL)
		remote->held_last->node.next = &buffer->node;
	else
		remote->held_first = buffer;
	remote->held_last = buffer;
	set_n_held(remote, 1);
}

/* Holding ends: the token is used up. */
static void unlink_held(struct vly_remote *remote, struct vly_buffer *buffer)
{
	struct vly_buffer *next = get_next(buffer);

	if (next != NULL)
		next->previous = buffer->previous;
	else
		remote->held_last = buffer->previous;
	if (buffer->previous != NULL)
		buffer->previous->node.next = buffer->node.next;
	else
		remote->held_first = next;
	buffer->state = FREE;
	buffer->generation++;
	set_n_held(remote, -1);
}

static uint32_t get_generation(const struct vly_remote *remote, const struct vly_buffer *buffer)
{
	return remote->seed + buffer->generation;
}

int volley_packet_hold(struct volley_packet *packet, struct volley_held *ret_held)
{
	struct volley_worker *worker = packet->worker;
	const struct volley_config *config = &worker->server->config;
	struct vly_remote *remote = &worker->remote;
	struct vly_buffer *buffer = NULL;
	uint64_t now_ns = vly_clock_now_ns();
	int r = -ENOBUFS;

	vly_lock_take(&remote->lock);
	if (atomic_load_explicit(&remote->n_held, memory_order_relaxed) < config->n_held)
		buffer = vly_buffers_get(remote->buffers, packet->len);
	if (buffer != NULL) {
		memcpy(buffer->data, packet->data, packet->len);
		buffer->len = packet->len;
		buffer->deadline_ns = now_ns + config->hold_us * UINT64_C(1000);
		vly_packet_keep(packet, buffer);
		link_held(remote, buffer);
		remote->counts.held_taken++;
		ret_held->id = (uint64_t)get_generation(remote, buffer) << 32 |
			       worker->index << INDEX_BITS | buffer->index;
		r = 0;
	} else {
		remote->counts.held_refused++;
	}
	vly_lock_give(&remote->lock);
	return r;
}

/* The worker that a token names, with its lock held, and the buffer; NULL: stale, no lock. */
static struct volley_worker *find(struct volley_server *server, struct volley_held held,
				  struct vly_buffer **ret_buffer)
{
	uint32_t n_worker = (uint32_t)held.id >> INDEX_BITS & WORKER_MASK;
	uint32_t index = (uint32_t)held.id & INDEX_MASK;
	struct volley_worker *worker;
	struct vly_buffer *buffer;

	if (n_worker >= server->config.n_workers)
		return NULL;
	worker = &server->workers[n_worker];
	vly_lock_take(&worker->remote.lock);
	buffer = vly_buffers_find(worker->remote.buffers, index);
	if (buffer != NULL && buffer->state == HELD &&
	    get_generation(&worker->remote, buffer) == held.id >> 32) {
		*ret_buffer = buffer;
		return worker;
	}
	vly_lock_give(&worker->remote.lock);
	return NULL;
}

int volley_held_release(struct volley_server *server, struct volley_held held)
{
	struct vly_buffer *buffer;
	struct volley_worker *worker = find(server, held, &buffer);

	if (worker == NULL)
		return -ESTALE;
	unlink_held(&worker->remote, buffer);
	worker->remote.counts.held_released++;
	vly_buffers_put(worker->remote.buffers, buffer);
	vly_lock_give(&worker->remote.lock);
	return 0;
}

int volley_held_get_payload(struct volley_server *server, struct volley_held held, void *data,
			    size_t n)
{
	struct vly_buffer *buffer;
	struct volley_worker *worker = find(server, held, &buffer);
	int len;

	if (worker == NULL)
		return -ESTALE;
	len = (int)buffer->len;
	if (data != NULL && n > 0)
		memcpy(data, buffer->data, n < buffer->len ? n : buffer->len);
	vly_lock_give(&worker->remote.lock);
	return len;
}

void vly_held_expire(struct volley_worker *worker, uint64_t now_ns)
{
	struct vly_remote *remote = &worker->remote;

	if (atomic_load_explicit(&remote->n_held, memory_order_relaxed) == 0)
		return;
	vly_lock_take(&remote->lock);
	while (remote->held_first != NULL && remote->held_first->deadline_ns <= now_ns) {
		struct vly_buffer *buffer = remote->held_first;

		unlink_held(remote, buffer);
		remote->counts.held_expired++;
		vly_buffers_put(remote->buffers, buffer);
	}
	vly_lock_give(&remote->lock);
}

uint64_t vly_held_get_deadline(struct volley_worker *worker)
{
	struct vly_remote *remote = &worker->remote;
	uint64_t deadline_ns = 0;

	vly_lock_take(&remote->lock);
	if (remote->held_first != NULL)
		deadline_ns = remote->held_first->deadline_ns;
	vly_lock_give(&remote->lock);
	return deadline_ns;
}

static void abandon(struct vly_remote *remote, struct vly_buffer *buffer)
{
	unlink_held(remote, buffer);
	remote->counts.held_abandoned++;
	vly_buffers_put(remote->buffers, buffer);
}

void vly_held_abandon(struct vly_remote *remote)
{
	while (remote->held_first != NULL)
		abandon(remote, remote->held_first);
}

void vly_held_abandon_port(struct volley_worker *worker, uint32_t n_listener)
{
	struct vly_remote *remote = &worker->remote;
	struct vly_buffer *next;

	vly_lock_take(&remote->lock);
	for (struct vly_buffer *buffer = remote->held_first; buffer != NULL; buffer = next) {
		next = get_next(buffer);
		if (buffer->listener == n_listener)
			abandon(remote, buffer);
	}
	vly_lock_give(&remote->lock);
}

bool vly_held_test_port(struct volley_worker *worker, uint32_t n_listener)
{
	struct vly_remote *remote = &worker->remote;
	struct vly_buffer *buffer;

	vly_lock_take(&remote->lock);
	buffer = remote->held_first;
	while (buffer != NULL && buffer->listener != n_listener)
		buffer = get_next(buffer);
	vly_lock_give(&remote->lock);
	return buffer != NULL;
}

/* Answering ------------------------------------------------------------------------------------ */

/* With the lock: an answer takes the packet's own buffer, or a larger one in its place. */
static int reply(struct volley_worker *worker, struct vly_buffer *held, const void *data,
		 uint32_t len)
{
	struct vly_remote *remote = &worker->remote;
	struct vly_buffer *buffer = held;

	if (len > vly_buffer_capacity(held)) {
		buffer = vly_buffers_get(remote->buffers, len);
		if (buffer == NULL)
			return vly_remote_refuse(remote, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
		buffer->peer = held->peer;
		buffer->listener = held->listener;
		buffer->info = held->info;
	}
	unlink_held(remote, held);
	remote->counts.held_replied++;
	if (buffer != held)
		vly_buffers_put(remote->buffers, held);
	vly_remote_post(worker, buffer, data, len);
	return 0;
}

/* With the lock: whom the answer would go to. */
static bool is_refused(const struct volley_worker *worker, const struct vly_buffer *buffer)
{
	const struct volley_addr *own = &worker->server->listeners[buffer->listener]->addr;

	return vly_packet_is_refused(&buffer->peer,
				     buffer->info.local.len > 0 ? &buffer->info.local : own);
}

int volley_held_reply(struct volley_server *server, struct volley_held held, const void *data,
		      size_t len)
{
	struct vly_buffer *buffer;
	struct volley_worker *worker = find(server, held, &buffer);
	struct vly_remote *remote;
	int r;

	if (worker == NULL)
		return -ESTALE;
	remote = &worker->remote;
	if (len > VLY_MAX_PAYLOAD) {
		r = vly_remote_refuse(remote, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	} else if (is_refused(worker, buffer)) {
		r = vly_remote_refuse(remote, VOLLEY_TX_REFUSED, -EINVAL);
		unlink_held(remote, buffer);
		remote->counts.held_replied++;
		vly_buffers_put(remote->buffers, buffer);
	} else {
		r = reply(worker, buffer, data, (uint32_t)len);
	}
	vly_lock_give(&remote->lock);
	return r;
}
