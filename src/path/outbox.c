/* SPDX-License-Identifier: MIT */

/*
 * The sending half of the data path: from the answers of a volley to the kernel.
 *
 *     tx entries -> grouped by destination (io/coalesce.c) -> io.send
 *                                                  |  full socket: backlog
 *                                                  |  segmented and refused: one by one
 *
 * Every answer ends in exactly one count: sent, dropped under a reason, or queued in the backlog,
 * which then counts it. An error costs the datagram that met it and no other.
 */

#include <errno.h>

#include <volley/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "path/backlog.h"
#include "path/errors.h"
#include "path/handler.h"
#include "path/outbox.h"
#include "path/remote.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/clock.h"

/* Largest number of segments in a message that any kernel takes (UDP_MAX_SEGMENTS, Linux 6.9). */
enum { MAX_SEGMENTS = 128 };

/*
 * The cap on segments never goes below what every IPv6 path takes (1,280 less 48 bytes of
 * headers), so one client behind a narrow path cannot switch segmentation off for the others.
 */
enum { MIN_SEGMENT_CAP = 1232 };

/* Long enough to cost nothing, short enough to notice that a route got better. */
#define PROBE_AGAIN_NS UINT64_C(60000000000)

/* A device without checksum offload says EIO always; a single one may be a route in change. */
enum { MAX_REFUSALS = 3 };

/* Learn from a refusal of a segmented message. */
static void lower_limits(struct volley_worker *worker, struct vly_port *port,
			 const struct vly_tx *head, int error)
{
	if (error == -EMSGSIZE || error == -EINVAL) {
		/* Longer than the path takes, which segments may not be (single datagrams are
		 * fragmented). Shorter ones still can. */
		port->limits.segment_bytes = head->len > MIN_SEGMENT_CAP ? head->len - 1
									 : MIN_SEGMENT_CAP;
		if (port->limits.segment_bytes < MIN_SEGMENT_CAP)
			port->limits.segment_bytes = MIN_SEGMENT_CAP;
		port->limits_ns = vly_clock_now_ns() + PROBE_AGAIN_NS;
	} else if (error == -EIO || error == -ENOPROTOOPT) {
		if (++port->n_refusals >= MAX_REFUSALS)
			port->limits.n_segments = 1;
	}
	if (port->refusal_logged)
		return;
	port->refusal_logged = true;
	vly_log_write(&worker->server->config, VOLLEY_LOG_WARNING,
		      "worker %u: the kernel refused %u segments of %u bytes in one message (%s); "
		      "they are sent one by one and later messages are smaller",
		      worker->index, head->n_segments, head->len, volley_error_name(error));
}

/* A size that the path did not take is tried again after a while: routes change. */
static void raise_limits(struct vly_port *port)
{
	if (vly_clock_now_ns() < port->limits_ns)
		return;
	port->limits.segment_bytes = port->listener->limits.segment_bytes;
	port->limits_ns = 0;
}

static void send_port(struct volley_worker *worker, struct vly_port *port, const uint16_t *heads,
		      uint32_t n, bool alone);

/*
 * A segmented message stands and falls as a whole: a firewall judges it by its length, one
 * datagram too long for the path fails them all. So its datagrams are sent again one by one, and
 * each is charged its own error.
 */
static void heal(struct volley_worker *worker, struct vly_port *port, uint16_t head, int error)
{
	uint16_t singles[MAX_SEGMENTS];
	uint32_t n = worker->tx[head].n_segments;

	assert(n > 0 && n <= MAX_SEGMENTS);
	worker->counts.tx_healed++;
	lower_limits(worker, port, &worker->tx[head], error);
	for (uint32_t i = 0; i < n; i++, head = worker->tx[head].next) {
		singles[i] = head;
		worker->tx[head].n_segments = 1;
	}
	send_port(worker, port, singles, n, true);
}

/* With `alone`, each of the messages is one datagram. */
static void count_sent(struct volley_worker *worker, const uint16_t *heads, uint32_t n, bool alone)
{
	worker->counts.tx_messages += n;
	if (alone) {
		worker->counts.tx_sent += n;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t n_segments = worker->tx[heads[i]].n_segments;

		worker->counts.tx_sent += n_segments;
		worker->counts.tx_segmented += n_segments > 1;
	}
}

/*
 * Behind whatever waits already. `error` says what the first one met; the others only stand in
 * line.
 */
static void queue(struct volley_worker *worker, struct vly_port *port, const uint16_t *heads,
		  uint32_t n, int error)
{
	uint64_t now_ns = vly_clock_now_ns();

	for (uint32_t i = 0; i < n; i++) {
		uint16_t entry = heads[i];

		for (uint32_t k = worker->tx[entry].n_segments; k > 0; k--) {
			vly_backlog_push(worker, port, &worker->tx[entry], error, now_ns);
			entry = worker->tx[entry].next;
		}
	}
}

/* Hand messages to the kernel. One that fails costs itself only. */
static void send_port(struct volley_worker *worker, struct vly_port *port, const uint16_t *heads,
		      uint32_t n, bool alone)
{
	int r = 0;

	while (n > 0 && port->n_backlog == 0) {
		r = vly_errors_send(worker, port, worker->tx, heads, n);
		if (VLY_LIKELY(r > 0)) {
			count_sent(worker, heads, (uint32_t)r, alone);
			heads += r;
			n -= (uint32_t)r;
			continue;
		}
		if (r == -EAGAIN || r == -ENOBUFS)
			break;
		if (worker->tx[*heads].n_segments > 1)
			heal(worker, port, *heads, r);
		else
			worker->counts.tx_dropped[vly_stats_get_tx_drop(r)]++;
		heads++;
		n--;
	}
	if (VLY_UNLIKELY(n > 0))
		queue(worker, port, heads, n, r);
}

struct vly_tx *vly_outbox_new(struct volley_worker *worker)
{
	if (VLY_UNLIKELY(worker->n_tx == VLY_N_TX))
		vly_outbox_flush(worker);
	return &worker->tx[worker->n_tx++];
}

void vly_outbox_add(struct volley_worker *worker, struct vly_buffer *buffer)
{
	struct vly_tx *tx = vly_outbox_new(worker);

	tx->data = buffer->answer;
	tx->len = buffer->answer_len;
	tx->peer = &buffer->peer;
	tx->local = buffer->info.local.len > 0 ? &buffer->info.local : NULL;
	tx->ifindex = buffer->info.ifindex;
	tx->listener = buffer->listener;
	buffer->node.next = worker->sending;
	worker->sending = &buffer->node;
}

/* What was sent, or copied to the backlog, is free again. */
static void give_back(struct volley_worker *worker)
{
	struct vly_inbox_node *remote = NULL;

	while (worker->sending != NULL) {
		struct vly_inbox_node *node = worker->sending;
		struct vly_buffer *buffer = VLY_CONTAINER_OF(node, struct vly_buffer, node);

		worker->sending = node->next;
		if (buffer->pool != VLY_POOL_REMOTE) {
			vly_handlers_put(worker, buffer);
			continue;
		}
		node->next = remote; /* one lock for all of them */
		remote = node;
	}
	if (remote != NULL)
		vly_remote_put(worker, remote);
}

/* Hand every answer to the kernel, listener by listener, grouped by destination. */
void vly_outbox_flush(struct volley_worker *worker)
{
	uint32_t n = worker->n_tx;
	uint32_t first = 0;

	while (first < n) {
		struct vly_port *port = &worker->ports[worker->tx[first].listener];
		uint32_t end = first + 1;
		const uint16_t *heads;
		uint32_t n_heads;

		while (end < n && worker->tx[end].listener == worker->tx[first].listener)
			end++;
		if (VLY_UNLIKELY(port->limits_ns != 0))
			raise_limits(port);
		n_heads = vly_coalesce_run(worker->coalesce, worker->tx, first, end - first,
					   &port->limits, &heads);
		send_port(worker, port, heads, n_heads, n_heads == end - first);
		first = end;
	}
	worker->n_tx = 0;
	if (VLY_UNLIKELY(worker->sending != NULL))
		give_back(worker);
}
