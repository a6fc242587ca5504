/* SPDX-License-Identifier: MIT */

/*
 * The sending half of the data path: from the replies of a volley to the kernel.
 *
 *     tx entries, socket by socket -> sender.c -> kernel
 *                                        |  full socket: backlog
 *
 * Every reply ends in exactly one count: sent, dropped under a reason, or queued in the backlog,
 * which then counts it.
 */

#include "path/outbox.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "path/backlog.h"
#include "path/sender.h"
#include "sys/clock.h"

int vly_outbox_init(struct volley_worker *worker)
{
	struct vly_outbox *outbox = &worker->outbox;
	const struct volley_allocator *allocator = worker->shared->config.allocator;

	outbox->tx = vly_mem_new(allocator, VLY_N_TX, sizeof *outbox->tx);
	return outbox->tx == NULL ? -ENOMEM : 0;
}

void vly_outbox_fini(struct volley_worker *worker)
{
	vly_mem_free(worker->outbox.tx);
}

/*
 * Behind whatever waits already. The error is what the first one met; the others only stand in
 * line.
 */
static void queue(struct volley_worker *worker, struct vly_sock *sock,
		  const struct vly_batch *batch)
{
	const struct vly_tx *tx = batch->tx;
	uint64_t now_ns = vly_clock_get_ns();

	for (uint32_t i = 0; i < batch->n; i++) {
		uint16_t entry = vly_sender_get_head(batch, i);

		for (uint32_t k = tx[entry].n_segments; k > 0; k--) {
			vly_backlog_push(worker, sock, &tx[entry], batch->error, now_ns);
			entry = tx[entry].next;
		}
	}
}

/* n entries of one socket, from tx[first] on: to the kernel, or behind those that wait. */
static void send_part(struct volley_worker *worker, struct vly_sock *sock, uint32_t first,
		      uint32_t n)
{
	struct vly_batch batch;

	vly_ledger_set_account(&worker->books, &sock->account);
	vly_sender_fill(worker, sock, worker->outbox.tx, first, n, &batch);
	batch.error = 0;
	if (VLY_LIKELY(vly_queue_is_empty(&sock->backlog)))
		vly_sender_send(worker, sock, &batch);
	if (VLY_UNLIKELY(batch.n > 0))
		queue(worker, sock, &batch);
}

/* Not while it is being emptied: what is in it is needed yet. */
static bool empty(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	if (worker->outbox.is_flushing)
		return false;
	vly_outbox_flush(worker);
	return true;
}

struct vly_tx *vly_outbox_new(struct volley_worker *worker)
{
	if (VLY_UNLIKELY(vly_outbox_is_full(worker)) && !empty(worker))
		return NULL;
	return vly_outbox_add(worker);
}

void vly_outbox_add_buffer(struct volley_worker *worker, struct vly_sock *sock,
			   struct vly_buffer *buffer)
{
	struct vly_tx *tx = vly_outbox_new(worker);

	assert(tx != NULL); /* what has buffers is never called by a flush */
	assert(buffer->pool < VLY_POOL_N && buffer->reply != NULL);
	tx->data = buffer->reply;
	tx->len = buffer->reply_len;
	tx->peer = &buffer->peer;
	tx->header = buffer->header;
	tx->local = vly_buffer_get_local(buffer);
	if (tx->local != NULL) /* the rest of the info is in a line of its own */
		tx->ifindex = buffer->info.reply_ifindex;
	tx->sock_index = sock->index;
	buffer->node.next = worker->outbox.sending[buffer->pool];
	worker->outbox.sending[buffer->pool] = &buffer->node;
}

void *vly_outbox_get_room(struct volley_worker *worker, uint32_t n_bytes)
{
	void *room = vly_arena_get(&worker->arena, n_bytes);

	if (VLY_LIKELY(room != NULL))
		return room;
	if (!empty(worker))
		return NULL;
	vly_arena_reset(&worker->arena);
	return vly_arena_get(&worker->arena, n_bytes);
}

void *vly_outbox_open_room(struct volley_worker *worker, uint32_t n_bytes, uint32_t *ret_n_bytes)
{
	void *room = vly_arena_open(&worker->arena, n_bytes, ret_n_bytes);

	if (VLY_LIKELY(room != NULL))
		return room;
	if (!empty(worker))
		return NULL;
	vly_arena_reset(&worker->arena);
	return vly_arena_open(&worker->arena, n_bytes, ret_n_bytes);
}

/* What was sent, or copied to the backlog, is its owner's again. */
static void hand_back(struct vly_outbox *outbox, enum vly_pool pool)
{
	if (VLY_LIKELY(outbox->sent[pool] == NULL)) {
		outbox->sent[pool] = outbox->sending[pool];
		outbox->sending[pool] = NULL;
		return;
	}
	while (outbox->sending[pool] != NULL) {
		struct vly_inbox_node *node = outbox->sending[pool];

		outbox->sending[pool] = node->next;
		node->next = outbox->sent[pool];
		outbox->sent[pool] = node;
	}
}

/*
 * Socket by socket, grouped by peer. The entries are not used anew before all were sent, so
 * whatever were added meanwhile would leave, too, and there is an end.
 */
void vly_outbox_flush(struct volley_worker *worker)
{
	struct vly_outbox *outbox = &worker->outbox;
	struct vly_account *before = vly_ledger_get_account(&worker->books);
	uint32_t first = 0;

	assert(vly_self_is_allowed(&worker->self) && !outbox->is_flushing);
	outbox->is_flushing = true;
	while (first < outbox->n_tx) {
		struct vly_sock *sock = vly_socks_get(&worker->socks, outbox->tx[first].sock_index);
		uint32_t end = first + 1;

		while (end < outbox->n_tx &&
		       outbox->tx[end].sock_index == outbox->tx[first].sock_index)
			end++;
		send_part(worker, sock, first, end - first);
		first = end;
	}
	vly_ledger_set_account(&worker->books, before);
	outbox->n_tx = 0;
	outbox->is_flushing = false;
	for (int pool = 0; pool < VLY_POOL_N; pool++)
		if (VLY_UNLIKELY(outbox->sending[pool] != NULL))
			hand_back(outbox, (enum vly_pool)pool);
}

struct vly_inbox_node *vly_outbox_take_sent(struct volley_worker *worker, enum vly_pool pool)
{
	struct vly_inbox_node *sent = worker->outbox.sent[pool];

	assert(vly_self_is_allowed(&worker->self));
	worker->outbox.sent[pool] = NULL;
	return sent;
}

bool vly_outbox_has_sent(const struct volley_worker *worker)
{
	for (int pool = 0; pool < VLY_POOL_N; pool++)
		if (worker->outbox.sent[pool] != NULL)
			return true;
	return false;
}
