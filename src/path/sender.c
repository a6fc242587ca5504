/* SPDX-License-Identifier: MIT */

/*
 * From entries to the kernel:
 *
 *     entries of one socket -> grouped by peer (io/coalesce.c) -> io.send
 *                                                                    |  full: left in the batch
 *                                                                    |  segmented and refused: one
 *                                                                    |  by one
 *
 * An entry that does not stay in its batch has ended in one count: sent, or dropped under a reason.
 * An error costs the datagram that met it and no other.
 */

#include "path/sender.h"

#include <errno.h>

#include <volley/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "path/icmp.h"
#include "path/listener.h"
#include "sys/clock.h"

/* Largest number of segments in a message that any kernel takes (UDP_MAX_SEGMENTS, Linux 6.9). */
enum { MAX_SEGMENTS = 128 };

int vly_sender_init(struct volley_worker *worker)
{
	worker->sender.coalesce = vly_coalesce_new(worker->shared->config.allocator, VLY_N_TX);
	return worker->sender.coalesce == NULL ? -ENOMEM : 0;
}

void vly_sender_fini(struct volley_worker *worker)
{
	vly_coalesce_free(worker->sender.coalesce);
}

void vly_sender_fill(struct volley_worker *worker, struct vly_sock *sock, struct vly_tx *tx,
		     uint32_t first, uint32_t n, struct vly_batch *ret_batch)
{
	assert(vly_self_is_allowed(&worker->self) && n > 0);
	if (VLY_UNLIKELY(vly_limits_is_lowered(&sock->limits)))
		vly_limits_raise(&sock->limits, &sock->listener->limits, vly_clock_get_ns());
	ret_batch->tx = tx;
	ret_batch->n = vly_coalesce_run(worker->sender.coalesce, tx, first, n,
					vly_limits_get(&sock->limits), &ret_batch->heads);
	ret_batch->first = ret_batch->heads[0];
	ret_batch->is_single = ret_batch->n == n;
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

/*
 * A segmented message stands and falls as a whole: a firewall judges it by its length, one datagram
 * too long for the path fails them all. So its datagrams are sent again one by one, and each is
 * charged its own error. When all of them fail, it was no matter of segments: there is no route, or
 * the address that they shall leave from is not ours. True: all of it is done with, else the rest
 * of it is the message now.
 */
static bool heal(struct volley_worker *worker, struct vly_sock *sock, struct vly_batch *batch,
		 int error)
{
	struct vly_tx *tx = batch->tx;
	uint16_t singles[MAX_SEGMENTS];
	struct vly_batch alone = { .tx = tx, .heads = singles, .is_single = true };
	uint64_t n_sent = vly_ledger_get_tx_sent(&worker->books);
	uint32_t n = tx[batch->first].n_segments;
	uint16_t entry = batch->first;

	assert(n > 0 && n <= MAX_SEGMENTS);
	vly_ledger_count_healed(&worker->books);
	for (; alone.n < n; entry = tx[entry].next) {
		singles[alone.n++] = entry;
		tx[entry].n_segments = 1;
	}
	alone.first = singles[0];
	vly_sender_send(worker, sock, &alone);
	if (vly_ledger_get_tx_sent(&worker->books) > n_sent)
		lower_limits(worker, sock, tx[singles[0]].len, n, error);
	if (alone.n == 0)
		return true;
	batch->first = alone.first; /* they are chained yet */
	tx[batch->first].n_segments = (uint16_t)alone.n;
	batch->is_single = false;
	batch->error = alone.error;
	return false;
}

static void count_sent(struct volley_worker *worker, const struct vly_batch *batch, uint32_t n)
{
	uint32_t n_datagrams = 0;
	uint32_t n_segmented = 0;

	assert(n > 0 && n <= batch->n);
	if (batch->is_single) {
		vly_ledger_count_sent(&worker->books, n, n);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t n_segments = batch->tx[batch->heads[i]].n_segments;

		n_datagrams += n_segments;
		n_segmented += n_segments > 1;
	}
	vly_ledger_count_sent(&worker->books, n, n_datagrams);
	vly_ledger_count_segmented(&worker->books, n_segmented);
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

static void drop(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *entry,
		 int error)
{
	vly_ledger_drop_tx(&worker->books, vly_ledger_get_tx_drop(error), 1);
	if (error == -EACCES)
		tell_no_access(worker, sock, entry);
}

static void take_away(struct vly_batch *batch, uint32_t n)
{
	batch->heads += n;
	batch->n -= n;
	if (batch->n > 0)
		batch->first = batch->heads[0];
}

void vly_sender_send(struct volley_worker *worker, struct vly_sock *sock, struct vly_batch *batch)
{
	struct vly_tx *tx = batch->tx;

	while (batch->n > 0) {
		int r = vly_icmp_send(worker, sock, tx, batch->heads, batch->n);

		if (VLY_LIKELY(r > 0)) {
			count_sent(worker, batch, (uint32_t)r);
			take_away(batch, (uint32_t)r);
			continue;
		}
		batch->error = r;
		if (r == -EAGAIN || r == -ENOBUFS)
			return;
		if (tx[batch->first].n_segments <= 1)
			drop(worker, sock, &tx[batch->first], r);
		else if (!heal(worker, sock, batch, r))
			return;
		take_away(batch, 1);
	}
}
