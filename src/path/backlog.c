/* SPDX-License-Identifier: MIT */

/*
 * Back-pressure. A full socket says EAGAIN or ENOBUFS. The replies that did not fit are copied into
 * packet buffers and stand in line, one line a socket (queue.c), until there is room, their time is
 * over, or there are too many.
 *
 * Every reply in a line is `tx_queued` in the ledger, and leaves it for one other name.
 */

#include "path/backlog.h"

#include <errno.h>

#include "path/listener.h"
#include "path/sender.h"
#include "sys/clock.h"

/*
 * Replies looked at, each time that there is room; also bounds the arrays on the stack. With 64 the
 * replies to 16 peers by turns left in 20 % more messages; 256 found no more company, and read
 * twice as many buffers that then stayed.
 */
enum { N_AT_ONCE = 128 };

/* Buffers beyond an MTU are few: replies of that size are fragments of a bulk transfer. */
enum { N_LARGE_BUFFERS = 16 };

int vly_backlog_init(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;
	const uint32_t n_buffers[VLY_BUFFERS_N_CLASSES] = { config->n_backlog, config->n_backlog,
							    N_LARGE_BUFFERS };

	worker->backlog = vly_buffers_new(config->allocator, n_buffers);
	return worker->backlog == NULL ? -ENOMEM : 0;
}

void vly_backlog_fini(struct volley_worker *worker)
{
	vly_buffers_free(worker->backlog);
}

void vly_backlog_push(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *tx,
		      int error, uint64_t now_ns)
{
	const struct volley_config *config = &worker->shared->config;

	assert(vly_self_is_allowed(&worker->self));
	if (vly_ledger_get_tx_queued(&worker->books) >= config->n_backlog ||
	    !vly_queue_push(&sock->backlog, worker->backlog, tx, error, now_ns)) {
		vly_ledger_drop_tx(&worker->books, VOLLEY_TX_BACKLOG_FULL, 1);
		return;
	}
	vly_queue_set_deadline(&sock->backlog, now_ns + vly_clock_convert_us(config->backlog_us));
	vly_socks_set_backlogged(sock);
	vly_ledger_queue_tx(&worker->books);
}

static void pop(struct volley_worker *worker, struct vly_sock *sock)
{
	assert(!vly_queue_is_empty(&sock->backlog));
	vly_queue_pop(&sock->backlog, worker->backlog);
	vly_ledger_unqueue_tx(&worker->books, 1);
}

/* Of n entries at the line's front, those in the batch wait on and the others are done with. */
static void settle(struct volley_worker *worker, struct vly_sock *sock,
		   const struct vly_batch *batch, uint32_t n)
{
	bool stays[N_AT_ONCE] = { false };
	uint32_t n_stay = 0;

	for (uint32_t i = 0; i < batch->n; i++) {
		uint16_t entry = vly_sender_get_head(batch, i);

		for (uint32_t k = batch->tx[entry].n_segments; k > 0; k--) {
			stays[entry] = true;
			entry = batch->tx[entry].next;
			n_stay++;
		}
	}
	vly_queue_settle(&sock->backlog, worker->backlog, stays, n);
	vly_ledger_unqueue_tx(&worker->books, n - n_stay);
}

static void send_sock(struct volley_worker *worker, struct vly_sock *sock, uint64_t now_ns)
{
	struct vly_batch batch = { .n = 0 };
	struct vly_tx tx[N_AT_ONCE];
	uint32_t n;

	while (batch.n == 0 && (n = vly_queue_fill(&sock->backlog, tx, N_AT_ONCE)) > 0) {
		uint64_t n_sent = vly_ledger_get_tx_sent(&worker->books);

		vly_sender_fill(worker, sock, tx, 0, n, &batch);
		vly_sender_send(worker, sock, &batch);
		settle(worker, sock, &batch, n);
		if (vly_ledger_get_tx_sent(&worker->books) > n_sent)
			vly_queue_set_retry(&sock->backlog, 0, now_ns);
		if (batch.n > 0)
			vly_queue_set_retry(&sock->backlog, batch.error, now_ns);
	}
}

static void expire(struct volley_worker *worker, struct vly_sock *sock, uint64_t now_ns)
{
	while (vly_queue_is_late(&sock->backlog, now_ns)) {
		vly_ledger_drop_tx(&worker->books, VOLLEY_TX_TIMEOUT, 1);
		pop(worker, sock);
	}
}

void vly_backlog_flush(struct volley_worker *worker, uint64_t now_ns)
{
	struct vly_sock *next;

	assert(vly_self_is_allowed(&worker->self));
	for (struct vly_sock *sock = vly_socks_get_backlogged(&worker->socks); sock != NULL;
	     sock = next) {
		next = vly_socks_get_next_backlogged(sock);
		vly_ledger_set_account(&worker->books, &sock->account);
		if (vly_queue_is_due(&sock->backlog, now_ns))
			send_sock(worker, sock, now_ns);
		expire(worker, sock, now_ns);
		vly_socks_set_backlogged(sock);
	}
}

int vly_backlog_request_room(struct volley_worker *worker, struct volley_listener listener)
{
	struct vly_sock *sock = vly_socks_get_backlogged(&worker->socks);
	uint32_t n = 0;

	assert(vly_self_is_allowed(&worker->self));
	if (vly_socks_find_first(&worker->socks, listener) == NULL)
		return -ESTALE;
	for (; sock != NULL; sock = vly_socks_get_next_backlogged(sock)) {
		if (sock->listener->id != listener.id)
			continue;
		vly_socks_request_room(sock);
		n += vly_queue_count(&sock->backlog);
	}
	return (int)n;
}

/* Lines begin in here, but none ends: so there is an end. */
void vly_backlog_process(struct volley_worker *worker)
{
	struct vly_sock *sock;

	assert(vly_self_is_allowed(&worker->self));
	while (!vly_drain_is_over(worker->shared) &&
	       (sock = vly_socks_pop_writable(&worker->socks)) != NULL) {
		const struct vly_listener *listener = sock->listener;

		if (listener->config.on_writable == NULL)
			continue;
		listener->config.on_writable(worker, (struct volley_listener){ listener->id },
					     listener->config.arg);
		vly_arena_end_callback(&worker->arena);
	}
}

void vly_backlog_drop_sock(struct volley_worker *worker, struct vly_sock *sock,
			   enum volley_tx_drop reason)
{
	assert(vly_self_is_allowed(&worker->self));
	vly_ledger_set_account(&worker->books, &sock->account);
	while (!vly_queue_is_empty(&sock->backlog)) {
		vly_ledger_drop_tx(&worker->books, reason, 1);
		pop(worker, sock);
	}
	vly_socks_set_backlogged(sock);
	vly_socks_forget_room(sock); /* it did not become writable, it goes */
}

void vly_backlog_drop(struct volley_worker *worker, enum volley_tx_drop reason)
{
	struct vly_sock *sock;

	while ((sock = vly_socks_get_backlogged(&worker->socks)) != NULL)
		vly_backlog_drop_sock(worker, sock, reason);
	while (vly_socks_pop_writable(&worker->socks) != NULL)
		continue;
}

int64_t vly_backlog_get_timeout(const struct volley_worker *worker, uint64_t now_ns)
{
	const struct vly_sock *sock = vly_socks_get_backlogged(&worker->socks);
	uint64_t first = UINT64_MAX;

	assert(vly_self_is_allowed(&worker->self));
	for (; sock != NULL; sock = vly_socks_get_next_backlogged(sock)) {
		uint64_t at = vly_queue_get_time(&sock->backlog);

		if (at < first)
			first = at;
	}
	if (first == UINT64_MAX)
		return -1;
	return first <= now_ns ? 0 : (int64_t)(first - now_ns);
}
