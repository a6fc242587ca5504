/* SPDX-License-Identifier: MIT */

/*
 * What other threads want of a worker: replies to packets that are held for them (held.c), and
 * datagrams to send. All of it goes through one lock a worker, which is held for moments, and then
 * through the worker's inbox like everything else that comes from outside.
 *
 *     any thread: send, reply -> buffer -> inbox -> worker -> kernel or backlog -> free again
 *
 * A lock and not atomics, because a request must be judged, counted and handed over as one step:
 * what is on its way is in exactly one of the ledger's places at every moment, whoever looks. The
 * worker's own path takes it for held packets, and once a volley to take sent buffers back.
 *
 * After vly_remote_close() nothing is taken any more, so the inbox stays empty of ours.
 */

#include "path/remote.h"

#include <errno.h>
#include <string.h>

#include "path/outbox.h"
#include "path/packet.h"

/* Payloads beyond a jumbo frame are rare, and 65,536 bytes each. */
enum { N_LARGE = 16 };

int vly_remote_init(struct volley_worker *worker)
{
	struct vly_remote *remote = &worker->remote;
	const struct volley_config *config = &worker->shared->config;
	uint32_t n = config->n_held + config->n_backlog;
	const uint32_t n_buffers[VLY_BUFFERS_N_CLASSES] = { n, n, N_LARGE };

	vly_lock_init(&remote->lock);
	remote->has_lock = true;
	remote->buffers = vly_buffers_new(config->allocator, n_buffers);
	return remote->buffers == NULL ? -ENOMEM : 0;
}

void vly_remote_fini(struct volley_worker *worker)
{
	if (!worker->remote.has_lock)
		return;
	vly_buffers_free(worker->remote.buffers);
	vly_lock_fini(&worker->remote.lock);
}

uint64_t vly_remote_count_bytes(const struct volley_worker *worker)
{
	return vly_buffers_count_bytes(worker->remote.buffers);
}

void vly_remote_lock(struct volley_worker *worker)
{
	vly_lock_take(&worker->remote.lock);
}

void vly_remote_unlock(struct volley_worker *worker)
{
	vly_lock_give(&worker->remote.lock);
}

void vly_remote_open(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	vly_remote_lock(worker);
	worker->remote.is_open = true;
	vly_remote_unlock(worker);
}

void vly_remote_close(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	vly_remote_lock(worker);
	worker->remote.is_open = false;
	vly_remote_unlock(worker);
}

struct vly_buffer *vly_remote_get_buffer(struct volley_worker *worker, uint32_t len)
{
	return vly_buffers_take(worker->remote.buffers, len);
}

void vly_remote_put_buffer(struct volley_worker *worker, struct vly_buffer *buffer)
{
	vly_buffers_put(worker->remote.buffers, buffer);
}

struct vly_buffer *vly_remote_find_buffer(struct volley_worker *worker, uint32_t index)
{
	return vly_buffers_find(worker->remote.buffers, index);
}

int vly_remote_refuse(struct volley_worker *worker, enum volley_tx_drop reason, int error)
{
	worker->remote.n_requested++;
	worker->remote.n_dropped[reason]++;
	return error;
}

void vly_remote_post(struct volley_worker *worker, struct vly_buffer *buffer, const void *data,
		     uint32_t len)
{
	assert(len <= vly_buffer_get_capacity(buffer));
	if (len > 0)
		memcpy(buffer->data, data, len);
	buffer->pool = VLY_POOL_REMOTE;
	buffer->reply = buffer->data;
	buffer->reply_len = len;
	worker->remote.n_posted++;
	worker->remote.n_sending++;
	vly_mail_push(&worker->mail, &buffer->node, VLY_MAIL_SEND);
}

static int send_locked(struct volley_worker *worker, const struct vly_route *route,
		       const void *data, size_t len) VLY_REQUIRES(worker->remote.lock)
{
	struct vly_buffer *buffer = NULL;

	if (!worker->remote.is_open)
		return -ESHUTDOWN;
	if (len > VLY_MAX_PAYLOAD)
		return vly_remote_refuse(worker, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (route->is_refused)
		return vly_remote_refuse(worker, VOLLEY_TX_REFUSED, -EINVAL);
	if (worker->remote.n_sending < worker->shared->config.n_backlog)
		buffer = vly_buffers_take(worker->remote.buffers, (uint32_t)len);
	if (buffer == NULL)
		return vly_remote_refuse(worker, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
	vly_route_keep(route, buffer);
	vly_remote_post(worker, buffer, data, (uint32_t)len);
	return 0;
}

int vly_remote_send(struct volley_worker *worker, const struct vly_route *route, const void *data,
		    size_t len)
{
	int r;

	vly_remote_lock(worker);
	r = send_locked(worker, route, data, len);
	vly_remote_unlock(worker);
	return r;
}

static void put_all(struct volley_worker *worker, struct vly_inbox_node *node)
{
	vly_remote_lock(worker);
	while (node != NULL) {
		struct vly_buffer *buffer = VLY_CONTAINER_OF(node, struct vly_buffer, node);

		node = node->next;
		vly_buffers_put(worker->remote.buffers, buffer);
		worker->remote.n_sending--;
	}
	vly_remote_unlock(worker);
}

void vly_remote_take(struct volley_worker *worker, struct vly_inbox_node *node)
{
	struct vly_buffer *buffer = VLY_CONTAINER_OF(node, struct vly_buffer, node);
	struct vly_sock *sock;

	assert(vly_self_is_allowed(&worker->self));
	sock = vly_socks_find(&worker->socks, buffer->sock_index, buffer->sock_serial);
	vly_ledger_request_tx(&worker->books, 1);
	vly_ledger_count_foreign(&worker->books);
	if (sock != NULL) {
		vly_outbox_add_buffer(worker, sock, buffer);
		return;
	}
	/* Its listener was closed meanwhile. */
	vly_ledger_drop_tx(&worker->books, VOLLEY_TX_STOPPED, 1);
	node->next = NULL;
	put_all(worker, node);
}

void vly_remote_take_sent(struct volley_worker *worker)
{
	struct vly_inbox_node *sent = vly_outbox_take_sent(worker, VLY_POOL_REMOTE);

	assert(vly_self_is_allowed(&worker->self));
	if (sent != NULL)
		put_all(worker, sent); /* one lock for all of them */
}

/*
 * What was posted and is not in the worker's published counters yet is on its way: requested and
 * queued. `stats` was published before we look, so the difference is never negative.
 */
void vly_remote_add_stats(struct volley_worker *worker, struct volley_stats *stats)
{
	const struct vly_remote *remote = &worker->remote;
	uint64_t n_under_way = remote->n_posted - stats->tx_foreign;

	stats->tx_requested += remote->n_requested + n_under_way;
	stats->tx_queued += n_under_way;
	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++)
		stats->tx_dropped[i] += remote->n_dropped[i];
}
