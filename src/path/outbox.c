/* SPDX-License-Identifier: MIT */

/*
 * The sending half of the data path: from the replies of a volley to the kernel.
 *
 *     tx entries -> grouped by peer (io/coalesce.c) -> io.send
 *                                                        |  full socket: backlog
 *                                                        |  segmented and refused: one by one
 *
 * Every reply ends in exactly one count: sent, dropped under a reason, or queued in the backlog,
 * which then counts it. An error costs the datagram that met it and no other.
 */

#include "path/outbox.h"

#include <errno.h>

#include <volley/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/mem.h"
#include "path/backlog.h"
#include "path/icmp.h"
#include "path/listener.h"
#include "sys/clock.h"

/* Largest number of segments in a message that any kernel takes (UDP_MAX_SEGMENTS, Linux 6.9). */
enum { MAX_SEGMENTS = 128 };

int vly_outbox_init(struct volley_worker *worker)
{
	struct vly_outbox *outbox = &worker->outbox;
	const struct volley_allocator *allocator = worker->shared->config.allocator;

	outbox->tx = vly_mem_new(allocator, VLY_N_TX, sizeof *outbox->tx);
	outbox->coalesce = vly_coalesce_new(allocator, VLY_N_TX);
	return outbox->tx == NULL || outbox->coalesce == NULL ? -ENOMEM : 0;
}

void vly_outbox_fini(struct volley_worker *worker)
{
	vly_coalesce_free(worker->outbox.coalesce);
	vly_mem_free(worker->outbox.tx);
}

/* Learn from a refusal of a segmented message whose datagrams leave one by one. */
static void lower_limits(struct volley_worker *worker, struct vly_sock *sock,
			 uint32_t segment_bytes, uint32_t n_segments, int error)
{
	if (vly_limits_lower(&sock->limits, segment_bytes, error, vly_clock_get_ns()))
		vly_log_write(&worker->shared->config, VOLLEY_LOG_WARNING,
			      "worker %u: the kernel refused %u segments of %u bytes in one "
			      "message (%s); they are sent one by one and later messages are "
			      "smaller",
			      worker->index, n_segments, segment_bytes, volley_error_name(error));
}

static void send_messages(struct volley_worker *worker, struct vly_sock *sock,
			  const uint16_t *heads, uint32_t n, bool alone);

/*
 * A segmented message stands and falls as a whole: a firewall judges it by its length, one datagram
 * too long for the path fails them all. So its datagrams are sent again one by one, and each is
 * charged its own error. When all of them fail, it was no matter of segments: there is no route, or
 * the address that they shall leave from is not ours.
 */
static void heal(struct volley_worker *worker, struct vly_sock *sock, uint16_t head, int error)
{
	struct vly_tx *tx = worker->outbox.tx;
	uint16_t singles[MAX_SEGMENTS];
	uint32_t n = tx[head].n_segments;
	uint64_t n_sent = vly_ledger_get_tx_sent(&worker->books);

	assert(n > 0 && n <= MAX_SEGMENTS);
	vly_ledger_count_healed(&worker->books);
	for (uint32_t i = 0; i < n; i++, head = tx[head].next) {
		singles[i] = head;
		tx[head].n_segments = 1;
	}
	send_messages(worker, sock, singles, n, true);
	if (vly_ledger_get_tx_sent(&worker->books) > n_sent)
		lower_limits(worker, sock, tx[singles[0]].len, n, error);
}

/* With `alone`, each of the messages is one datagram. */
static void count_sent(struct volley_worker *worker, const uint16_t *heads, uint32_t n, bool alone)
{
	uint32_t n_datagrams = 0;
	uint32_t n_segmented = 0;

	assert(n > 0);
	if (alone) {
		vly_ledger_count_sent(&worker->books, n, n);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t n_segments = worker->outbox.tx[heads[i]].n_segments;

		n_datagrams += n_segments;
		n_segmented += n_segments > 1;
	}
	vly_ledger_count_sent(&worker->books, n, n_datagrams);
	vly_ledger_count_segmented(&worker->books, n_segmented);
}

/*
 * Behind whatever waits already. `error` says what the first one met; the others only stand in
 * line.
 */
static void queue(struct volley_worker *worker, struct vly_sock *sock, const uint16_t *heads,
		  uint32_t n, int error)
{
	const struct vly_tx *tx = worker->outbox.tx;
	uint64_t now_ns = vly_clock_get_ns();

	for (uint32_t i = 0; i < n; i++) {
		uint16_t entry = heads[i];

		for (uint32_t k = tx[entry].n_segments; k > 0; k--) {
			vly_backlog_push(worker, sock, &tx[entry], error, now_ns);
			entry = tx[entry].next;
		}
	}
}

/* The most likely reason is a flag that was forgotten, and nobody else says so. Once a socket. */
static void tell_no_access(const struct volley_worker *worker, struct vly_sock *sock,
			   const struct vly_tx *entry)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";

	if (sock->told_no_access)
		return;
	sock->told_no_access = true;
	volley_addr_format(entry->peer, text, sizeof text);
	vly_log_write(&worker->shared->config, VOLLEY_LOG_WARNING,
		      "worker %u: the kernel does not let us send to %s (EACCES): a broadcast "
		      "address needs VOLLEY_LISTEN_BROADCAST, to any other a route says "
		      "`prohibit`; further ones are only counted",
		      worker->index, text);
}

static void drop(struct volley_worker *worker, struct vly_sock *sock, uint16_t entry, int error)
{
	vly_ledger_drop_tx(&worker->books, vly_ledger_get_tx_drop(error), 1);
	if (error == -EACCES)
		tell_no_access(worker, sock, &worker->outbox.tx[entry]);
}

/* Hand messages to the kernel. One that fails costs itself only. */
static void send_messages(struct volley_worker *worker, struct vly_sock *sock,
			  const uint16_t *heads, uint32_t n, bool alone)
{
	struct vly_tx *tx = worker->outbox.tx;
	int r = 0;

	while (n > 0 && vly_queue_is_empty(&sock->backlog)) {
		r = vly_icmp_send(worker, sock, tx, heads, n);
		if (VLY_LIKELY(r > 0)) {
			count_sent(worker, heads, (uint32_t)r, alone);
			heads += r;
			n -= (uint32_t)r;
			continue;
		}
		if (r == -EAGAIN || r == -ENOBUFS)
			break;
		if (tx[*heads].n_segments > 1)
			heal(worker, sock, *heads, r);
		else
			drop(worker, sock, *heads, r);
		heads++;
		n--;
	}
	if (VLY_UNLIKELY(n > 0))
		queue(worker, sock, heads, n, r);
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
		const uint16_t *heads;
		uint32_t n_heads;

		while (end < outbox->n_tx &&
		       outbox->tx[end].sock_index == outbox->tx[first].sock_index)
			end++;
		if (VLY_UNLIKELY(vly_limits_is_lowered(&sock->limits)))
			vly_limits_raise(&sock->limits, &sock->listener->limits,
					 vly_clock_get_ns());
		vly_ledger_set_account(&worker->books, &sock->account);
		n_heads = vly_coalesce_run(outbox->coalesce, outbox->tx, first, end - first,
					   vly_limits_get(&sock->limits), &heads);
		send_messages(worker, sock, heads, n_heads, n_heads == end - first);
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
