/* SPDX-License-Identifier: MIT */

/*
 * Back-pressure. A full socket says EAGAIN or ENOBUFS; the answers that did not fit are copied
 * into packet buffers and stand in line, one line a socket, until there is room, their time is
 * over, or the line is too long.
 *
 * The two errors wait differently. EAGAIN is the socket's own buffer: POLLOUT reports room.
 * ENOBUFS comes from the device's queue below it, about which POLLOUT knows nothing (it is set at
 * once, and waiting for it would
 * spin), so it is retried by the clock: after 500 us, doubling to 8 ms.
 */

#include <errno.h>
#include <string.h>

#include "path/backlog.h"
#include "path/errors.h"
#include "path/pipeline.h"
#include "server/server.h"

/* A device queue of 1,000 packets at 1 Gbit/s drains in 0.5 to 12 ms. */
enum { FIRST_RETRY_US = 500, LAST_RETRY_US = 8000 };

/* Answers sent at a time; also bounds the arrays on the stack. */
enum { N_AT_ONCE = 64 };

static struct vly_buffer *get_next(const struct vly_buffer *buffer)
{
	if (buffer->node.next == NULL)
		return NULL;
	return VLY_CONTAINER_OF(buffer->node.next, struct vly_buffer, node);
}

static void set_retry(struct vly_port *port, int error, uint64_t now_ns)
{
	uint32_t us = port->retry_us * 2;

	if (error != -ENOBUFS) {
		port->retry_us = 0;
		return;
	}
	if (us < FIRST_RETRY_US)
		us = FIRST_RETRY_US;
	if (us > LAST_RETRY_US)
		us = LAST_RETRY_US;
	port->retry_us = us;
	port->retry_ns = now_ns + us * UINT64_C(1000);
}

void vly_backlog_push(struct volley_worker *worker, struct vly_port *port, const struct vly_tx *tx,
		      int error, uint64_t now_ns)
{
	const struct volley_config *config = &worker->server->config;
	struct vly_buffer *buffer = NULL;

	if (worker->counts.tx_queued < config->n_backlog)
		buffer = vly_buffers_get(worker->buffers, tx->len);
	if (buffer == NULL) {
		worker->counts.tx_dropped[VOLLEY_TX_BACKLOG_FULL]++;
		return;
	}
	memcpy(buffer->data, tx->data, tx->len);
	buffer->len = tx->len;
	buffer->peer = *tx->peer;
	buffer->info.local.len = 0;
	if (tx->local != NULL) {
		buffer->info.local = *tx->local;
		buffer->info.ifindex = tx->ifindex;
	}
	buffer->deadline_ns = now_ns + config->backlog_us * UINT64_C(1000);
	buffer->node.next = NULL;
	if (port->n_backlog == 0) {
		port->backlog_first = buffer;
		set_retry(port, error, now_ns);
	} else {
		port->backlog_last->node.next = &buffer->node;
	}
	port->backlog_last = buffer;
	port->n_backlog++;
	worker->counts.tx_queued++;
}

static void pop(struct volley_worker *worker, struct vly_port *port)
{
	struct vly_buffer *first = port->backlog_first;

	port->backlog_first = get_next(first);
	port->n_backlog--;
	if (port->n_backlog == 0)
		port->retry_us = 0; /* the next line begins with the first pause */
	worker->counts.tx_queued--;
	vly_buffers_put(worker->buffers, first);
}

static uint32_t fill(const struct vly_port *port, struct vly_tx *tx, uint16_t *heads)
{
	const struct vly_buffer *buffer = port->backlog_first;
	uint32_t n = 0;

	for (; buffer != NULL && n < N_AT_ONCE; buffer = get_next(buffer)) {
		tx[n] = (struct vly_tx){
			.data = buffer->data,
			.len = buffer->len,
			.peer = &buffer->peer,
			.local = buffer->info.local.len > 0 ? &buffer->info.local : NULL,
			.ifindex = buffer->info.ifindex,
			.n_segments = 1,
		};
		heads[n] = (uint16_t)n;
		n++;
	}
	return n;
}

static void flush_port(struct volley_worker *worker, struct vly_port *port, uint64_t now_ns)
{
	struct volley_stats *counts = &worker->counts;
	struct vly_tx tx[N_AT_ONCE];
	uint16_t heads[N_AT_ONCE];

	while (port->n_backlog > 0) {
		uint32_t n = fill(port, tx, heads);
		int r = vly_errors_send(worker, port, tx, heads, n);

		if (r == -EAGAIN || r == -ENOBUFS) {
			set_retry(port, r, now_ns);
			break;
		}
		if (r < 0) {
			counts->tx_dropped[vly_stats_get_tx_drop(r)]++;
			pop(worker, port);
			continue;
		}
		counts->tx_sent += (uint32_t)r;
		counts->tx_messages += (uint32_t)r;
		port->retry_us = 0;
		while (r-- > 0)
			pop(worker, port);
	}
}

/* Arrival order is deadline order. */
static void expire(struct volley_worker *worker, struct vly_port *port, uint64_t now_ns)
{
	while (port->n_backlog > 0 && port->backlog_first->deadline_ns <= now_ns) {
		worker->counts.tx_dropped[VOLLEY_TX_TIMEOUT]++;
		pop(worker, port);
	}
}

void vly_backlog_flush(struct volley_worker *worker, uint64_t now_ns)
{
	for (uint32_t i = 0; i < worker->n_ports && worker->counts.tx_queued > 0; i++) {
		struct vly_port *port = &worker->ports[i];

		if (port->retry_us == 0 || port->retry_ns <= now_ns)
			flush_port(worker, port, now_ns);
		expire(worker, port, now_ns);
	}
	vly_pipeline_publish(worker);
}

void vly_backlog_drop_port(struct volley_worker *worker, struct vly_port *port, uint32_t reason)
{
	while (port->n_backlog > 0) {
		worker->counts.tx_dropped[reason]++;
		pop(worker, port);
	}
}

void vly_backlog_drop(struct volley_worker *worker, uint32_t reason)
{
	for (uint32_t i = 0; i < worker->n_ports; i++)
		vly_backlog_drop_port(worker, &worker->ports[i], reason);
}

int64_t vly_backlog_get_timeout(const struct volley_worker *worker, uint64_t now_ns)
{
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < worker->n_ports && worker->counts.tx_queued > 0; i++) {
		const struct vly_port *port = &worker->ports[i];
		uint64_t at;

		if (port->n_backlog == 0)
			continue;
		at = port->backlog_first->deadline_ns;
		if (port->retry_us > 0 && port->retry_ns < at)
			at = port->retry_ns;
		if (at < first)
			first = at;
	}
	if (first == UINT64_MAX)
		return -1;
	return first <= now_ns ? 0 : (int64_t)(first - now_ns);
}
