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

#include "path/listener.h"
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

bool vly_remote_is_open(struct volley_worker *worker)
{
	bool is_open;

	vly_remote_lock(worker);
	is_open = worker->remote.is_open;
	vly_remote_unlock(worker);
	return is_open;
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

int vly_remote_refuse(struct vly_outside *outside, enum volley_tx_drop reason, int error)
{
	outside->n_requested++;
	outside->n_dropped[reason]++;
	return error;
}

void vly_remote_post(struct volley_worker *worker, struct vly_buffer *buffer, const void *data,
		     uint32_t len)
{
	struct vly_sock *sock = vly_socks_find(&worker->socks, buffer->sock_index,
					       buffer->sock_serial);

	assert(sock != NULL && len <= vly_buffer_get_capacity(buffer));
	if (len > 0)
		memcpy(buffer->data, data, len);
	buffer->pool = VLY_POOL_REMOTE;
	buffer->reply = buffer->data;
	buffer->reply_len = len;
	sock->outside.n_posted++;
	worker->remote.n_sending++;
	vly_mail_push(&worker->mail, &buffer->node, VLY_MAIL_SEND);
}

int vly_remote_refuse_send(struct volley_worker *worker, const struct vly_route *route,
			   enum volley_tx_drop reason, int error)
{
	struct vly_sock *sock;

	vly_remote_lock(worker);
	sock = vly_socks_find(&worker->socks, route->sock_index, route->sock_serial);
	if (sock != NULL)
		vly_remote_refuse(&sock->outside, reason, error);
	vly_remote_unlock(worker);
	return sock != NULL ? error : -ESTALE;
}

bool vly_remote_request_room(struct volley_worker *worker, const struct vly_route *route)
{
	struct vly_sock *sock;
	bool waits;

	vly_remote_lock(worker);
	sock = vly_socks_find(&worker->socks, route->sock_index, route->sock_serial);
	waits = sock != NULL && vly_socks_request_room(sock);
	vly_remote_unlock(worker);
	return waits;
}

static int send_locked(struct volley_worker *worker, const struct vly_route *route,
		       const void *data, size_t len) VLY_REQUIRES(worker->remote.lock)
{
	struct vly_sock *sock = vly_socks_find(&worker->socks, route->sock_index,
					       route->sock_serial);
	struct vly_buffer *buffer = NULL;

	if (!worker->remote.is_open)
		return -ESHUTDOWN;
	if (sock == NULL) /* its listener was closed since the route was found */
		return -ESTALE;
	if (route->if_room && vly_socks_request_room(sock))
		return -EAGAIN;
	if (len > VLY_MAX_PAYLOAD)
		return vly_remote_refuse(&sock->outside, VOLLEY_TX_EMSGSIZE, -EMSGSIZE);
	if (route->is_refused)
		return vly_remote_refuse(&sock->outside, VOLLEY_TX_REFUSED, -EINVAL);
	if (worker->remote.n_sending < worker->shared->config.n_backlog)
		buffer = vly_buffers_take(worker->remote.buffers, (uint32_t)len);
	if (buffer == NULL)
		return vly_remote_refuse(&sock->outside, VOLLEY_TX_NO_BUFFER, -ENOBUFS);
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
	if (sock == NULL) { /* counted when its socket went: vly_remote_close_sock() */
		node->next = NULL;
		put_all(worker, node);
		return;
	}
	vly_ledger_set_account(&worker->books, &sock->account);
	vly_ledger_request_tx(&worker->books, 1);
	vly_ledger_count_foreign(&worker->books);
	vly_outbox_add_buffer(worker, sock, buffer);
}

void vly_remote_take_sent(struct volley_worker *worker)
{
	struct vly_inbox_node *sent = vly_outbox_take_sent(worker, VLY_POOL_REMOTE);

	assert(vly_self_is_allowed(&worker->self));
	if (sent != NULL)
		put_all(worker, sent); /* one lock for all of them */
}

/* Add counts to others, name by name: they are all of one type. */
static void add_outside(struct vly_outside *sum, const struct vly_outside *outside)
{
	uint64_t *to = &sum->held_taken;
	const uint64_t *from = &outside->held_taken;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

/*
 * What was posted and is not in the published counters yet is on its way: requested and queued.
 * `stats` was published before we look, so the difference is never negative.
 */
static void add_stats(const struct vly_outside *outside, struct volley_stats *stats)
{
	uint64_t n_under_way = outside->n_posted - stats->tx_foreign;

	stats->tx_requested += outside->n_requested + n_under_way;
	stats->tx_queued += n_under_way;
	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++)
		stats->tx_dropped[i] += outside->n_dropped[i];
	stats->held_taken += outside->held_taken;
	stats->held_replied += outside->held_replied;
	stats->held_released += outside->held_released;
	stats->held_expired += outside->held_expired;
	stats->held_abandoned += outside->held_abandoned;
	stats->held_refused += outside->held_refused;
	stats->held_now += outside->held_now;
}

/*
 * The kernel is asked before the books are read: what is unread no more has been counted as taken
 * by then, but for a volley that is under way. In the other order whatever the worker takes in
 * between would be in neither.
 */
static void read_sock(struct vly_sock *sock, struct volley_stats *ret_stats)
{
	struct volley_stats kernel = { .size = sizeof kernel };

	vly_socks_add_stats(sock, &kernel);
	vly_ledger_read(&sock->account, ret_stats);
	ret_stats->unread_bytes = kernel.unread_bytes;
	ret_stats->kernel_drops = kernel.kernel_drops;
	add_stats(&sock->outside, ret_stats);
}

void vly_remote_read_stats(struct volley_worker *worker, struct vly_sock *sock,
			   struct volley_stats *ret_stats)
{
	vly_remote_lock(worker);
	read_sock(sock, ret_stats);
	vly_remote_unlock(worker);
}

void vly_remote_read_last(struct vly_sock *sock, struct volley_stats *ret_stats)
{
	assert(sock->fd < 0);
	read_sock(sock, ret_stats);
}

void vly_remote_read_gone(struct volley_worker *worker, struct volley_stats *ret_stats)
{
	vly_ledger_read_own(&worker->books, ret_stats);
	vly_socks_add_gone(&worker->socks, ret_stats);
	vly_remote_lock(worker);
	add_stats(&worker->remote.gone, ret_stats);
	vly_remote_unlock(worker);
}

/*
 * What is on its way to the socket will find it gone. It is counted as dropped now, not when it
 * arrives: the listener's counts and the worker's own are added up from here on by people who take
 * them for final.
 */
void vly_remote_close_sock(struct volley_worker *worker, struct vly_sock *sock)
{
	assert(vly_self_is_allowed(&worker->self) && sock->outside.held_now == 0);
	vly_ledger_drop_foreign(&sock->account, sock->outside.n_posted);
	vly_ledger_close(&worker->books, &sock->account);
	add_outside(&worker->remote.gone, &sock->outside);
}
