/* SPDX-License-Identifier: MIT */

/*
 * The ledger's reading side: snapshots, sums, and the JSON.
 *
 * A snapshot is a sequence lock without stand-alone fences: the writer makes the count odd,
 * stores each counter with release (so none can be seen before the odd count), and makes it even
 * with release; the reader loads with
 * acquire and starts over when the count was odd or moved.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <volley/handover.h>

#include "base/mem.h"
#include "base/opts.h"
#include "path/stats.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/socket.h"

static_assert(sizeof(struct volley_stats) == sizeof(size_t) + VLY_STATS_N * sizeof(uint64_t),
	      "counters only, no padding: they are copied and summed as an array");

/* As an array; the struct's counters follow its size without gaps. */
static uint64_t *get_counts(struct volley_stats *stats)
{
	return &stats->rx_datagrams;
}

void vly_stats_publish(struct vly_stats_snapshot *snapshot, const struct volley_stats *counts)
{
	const uint64_t *from = &counts->rx_datagrams;
	uint32_t sequence = atomic_load_explicit(&snapshot->sequence, memory_order_relaxed);

	atomic_store_explicit(&snapshot->sequence, sequence + 1, memory_order_relaxed);
	for (size_t i = 0; i < VLY_STATS_N; i++) /* release: after the odd count */
		atomic_store_explicit(&snapshot->counts[i], from[i], memory_order_release);
	/* release: publishes every counter above */
	atomic_store_explicit(&snapshot->sequence, sequence + 2, memory_order_release);
}

void vly_stats_read(struct vly_stats_snapshot *snapshot, struct volley_stats *ret_counts)
{
	uint64_t *to = get_counts(ret_counts);
	uint32_t before;
	uint32_t after;

	do {
		before = atomic_load_explicit(&snapshot->sequence, memory_order_acquire);
		for (size_t i = 0; i < VLY_STATS_N; i++)
			to[i] = atomic_load_explicit(&snapshot->counts[i], memory_order_acquire);
		after = atomic_load_explicit(&snapshot->sequence, memory_order_relaxed);
		if (before & 1)
			vly_thread_yield(); /* the writer may wait for this very CPU */
	} while (before != after || (before & 1));
}

enum volley_tx_drop vly_stats_get_tx_drop(int error)
{
	switch (-error) {
	case EPERM:
		return VOLLEY_TX_EPERM;
	case EAGAIN:
		return VOLLEY_TX_EAGAIN;
	case ENOBUFS:
		return VOLLEY_TX_ENOBUFS;
	case ECONNREFUSED:
		return VOLLEY_TX_ECONNREFUSED;
	case EMSGSIZE:
		return VOLLEY_TX_EMSGSIZE;
	case ENETUNREACH:
		return VOLLEY_TX_ENETUNREACH;
	case EHOSTUNREACH:
		return VOLLEY_TX_EHOSTUNREACH;
	case EACCES:
		return VOLLEY_TX_EACCES;
	case EINVAL:
		return VOLLEY_TX_EINVAL;
	default:
		return VOLLEY_TX_EOTHER;
	}
}

uint32_t vly_stats_read_kernel(struct vly_port *port)
{
	struct vly_socket_meminfo info;

	if (vly_socket_get_meminfo(port->fd, &info) < 0)
		return 0;
	port->kernel_drops += info.drops - port->drops_seen; /* wraps at 2^32 */
	port->drops_seen = info.drops;
	return info.rmem_bytes;
}

/* What only the kernel knows, asked now. A closed socket keeps what was read last. */
static void add_kernel(struct volley_worker *worker, struct volley_stats *stats)
{
	for (uint32_t i = 0; i < worker->server->n_listeners; i++) {
		struct vly_port *port = &worker->ports[i];

		if (port->fd >= 0)
			stats->unread_bytes += vly_stats_read_kernel(port);
		stats->kernel_drops += port->kernel_drops;
	}
}

void vly_stats_add(struct volley_stats *sum, const struct volley_stats *counts)
{
	uint64_t *to = get_counts(sum);
	const uint64_t *from = &counts->rx_datagrams;

	for (size_t i = 0; i < VLY_STATS_N; i++)
		to[i] += from[i];
}

/* With the server's lock. */
static void read_worker(struct volley_worker *worker, struct volley_stats *ret_stats)
{
	vly_stats_read(&worker->snapshot, ret_stats);
	vly_remote_add_stats(&worker->remote, ret_stats);
	ret_stats->size = sizeof *ret_stats;
	ret_stats->memory_bytes = worker->memory_bytes;
	add_kernel(worker, ret_stats);
}

/* The smallest struct of the first release. */
enum { MIN_STATS_SIZE = sizeof(struct volley_stats) };

int volley_server_get_worker_stats(struct volley_server *server, uint32_t n_worker,
				   struct volley_stats *ret_stats)
{
	struct volley_stats stats;

	if (n_worker >= server->config.n_workers)
		return -EINVAL;
	vly_lock_take(&server->lock);
	read_worker(&server->workers[n_worker], &stats);
	vly_lock_give(&server->lock);
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &stats, sizeof stats);
}

void vly_stats_sum(struct volley_server *server, struct volley_stats *ret_sum)
{
	struct volley_stats stats;

	*ret_sum = server->carried;
	ret_sum->size = sizeof *ret_sum;
	for (uint32_t i = 0; i < server->config.n_workers; i++) {
		read_worker(&server->workers[i], &stats);
		vly_stats_add(ret_sum, &stats);
	}
}

int volley_server_get_stats(struct volley_server *server, struct volley_stats *ret_stats)
{
	struct volley_stats sum;

	vly_lock_take(&server->lock);
	vly_stats_sum(server, &sum);
	vly_lock_give(&server->lock);
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &sum, sizeof sum);
}

int volley_server_get_carried_stats(struct volley_server *server, struct volley_stats *ret_stats)
{
	struct volley_stats carried;

	vly_lock_take(&server->lock);
	carried = server->carried;
	vly_lock_give(&server->lock);
	carried.size = sizeof carried;
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &carried, sizeof carried);
}

/* The JSON ------------------------------------------------------------------------------------- */

static const char *const rx_drop_names[VOLLEY_RX_N_DROPS] = {
	[VOLLEY_RX_TRUNCATED] = "truncated", [VOLLEY_RX_CTRUNC] = "ctrunc",
	[VOLLEY_RX_RING_FULL] = "ring_full", [VOLLEY_RX_POOL_FULL] = "pool_full",
	[VOLLEY_RX_FILTERED] = "filtered",   [VOLLEY_RX_BAD_SOURCE] = "bad_source",
	[VOLLEY_RX_EXPIRED] = "expired",     [VOLLEY_RX_STOPPED] = "stopped",
};

static const char *const tx_drop_names[VOLLEY_TX_N_DROPS] = {
	[VOLLEY_TX_EPERM] = "EPERM",
	[VOLLEY_TX_EAGAIN] = "EAGAIN",
	[VOLLEY_TX_ENOBUFS] = "ENOBUFS",
	[VOLLEY_TX_ECONNREFUSED] = "ECONNREFUSED",
	[VOLLEY_TX_EMSGSIZE] = "EMSGSIZE",
	[VOLLEY_TX_ENETUNREACH] = "ENETUNREACH",
	[VOLLEY_TX_EHOSTUNREACH] = "EHOSTUNREACH",
	[VOLLEY_TX_EACCES] = "EACCES",
	[VOLLEY_TX_EINVAL] = "EINVAL",
	[VOLLEY_TX_EOTHER] = "EOTHER",
	[VOLLEY_TX_REFUSED] = "refused",
	[VOLLEY_TX_NO_BUFFER] = "no_buffer",
	[VOLLEY_TX_BACKLOG_FULL] = "backlog_full",
	[VOLLEY_TX_TIMEOUT] = "timeout",
	[VOLLEY_TX_STOPPED] = "stopped",
};

/* snprintf that goes on where it was, and keeps counting when the room is used up. */
struct text {
	char *at;
	size_t n_left;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->at, text->n_left, format, args);
	va_end(args);
	text->len += (size_t)n;
	if ((size_t)n >= text->n_left) {
		text->n_left = 0;
		return;
	}
	text->at += n;
	text->n_left -= (size_t)n;
}

#define PUT(text, stats, field) \
	put(text, "\"" #field "\": %llu, ", (unsigned long long)(stats)->field)

static void put_drops(struct text *text, const char *name, const char *const *names,
		      const uint64_t *counts, size_t n)
{
	put(text, "\"%s\": {", name);
	for (size_t i = 0; i < n; i++)
		put(text, "%s\"%s\": %llu", i > 0 ? ", " : "", names[i],
		    (unsigned long long)counts[i]);
	put(text, "}, ");
}

static void put_stats(struct text *text, const struct volley_stats *stats, bool coalesces)
{
	bool lost = stats->kernel_drops > 0 || stats->discarded_at_close > 0;

	PUT(text, stats, rx_datagrams);
	PUT(text, stats, delivered);
	put_drops(text, "rx_dropped", rx_drop_names, stats->rx_dropped, VOLLEY_RX_N_DROPS);
	PUT(text, stats, rx_queued);
	PUT(text, stats, held_taken);
	PUT(text, stats, held_replied);
	PUT(text, stats, held_released);
	PUT(text, stats, held_expired);
	PUT(text, stats, held_abandoned);
	PUT(text, stats, held_now);
	PUT(text, stats, held_refused);
	PUT(text, stats, tx_requested);
	PUT(text, stats, tx_sent);
	put_drops(text, "tx_dropped", tx_drop_names, stats->tx_dropped, VOLLEY_TX_N_DROPS);
	PUT(text, stats, tx_queued);
	PUT(text, stats, tx_reported);
	PUT(text, stats, tx_foreign);
	PUT(text, stats, rx_messages);
	PUT(text, stats, tx_messages);
	PUT(text, stats, discarded_at_close);
	/* How many messages the unread bytes are is not to be had; that there are none is. */
	if (stats->unread_bytes == 0)
		put(text, "\"unread\": 0, \"enqueued\": %ju, ",
		    (uintmax_t)stats->rx_messages + stats->discarded_at_close);
	else
		put(text, "\"unread\": null, \"enqueued\": null, ");
	PUT(text, stats, unread_bytes);
	PUT(text, stats, kernel_drops);
	PUT(text, stats, rx_batches);
	PUT(text, stats, rx_syscalls);
	PUT(text, stats, tx_syscalls);
	PUT(text, stats, rx_coalesced);
	PUT(text, stats, tx_segmented);
	PUT(text, stats, tx_healed);
	PUT(text, stats, wakes);
	PUT(text, stats, memory_bytes);
	/* The kernel counts messages; with GRO one may have been several datagrams. */
	put(text, "\"datagrams_exact\": %s", coalesces && lost ? "false" : "true");
}

int volley_server_format_stats(struct volley_server *server, char *text, size_t n_text)
{
	struct text out = { .at = text, .n_left = text != NULL ? n_text : 0 };
	uint32_t n_workers = server->config.n_workers;
	struct volley_stats *stats = vly_mem_new(server->config.allocator, n_workers,
						 sizeof *stats);
	struct volley_stats sum;
	struct volley_stats carried;
	bool coalesces;

	if (stats == NULL)
		return -ENOMEM;
	vly_lock_take(&server->lock);
	coalesces = server->coalesces;
	sum = server->carried;
	carried = server->carried;
	for (uint32_t i = 0; i < n_workers; i++) {
		read_worker(&server->workers[i], &stats[i]);
		vly_stats_add(&sum, &stats[i]);
	}
	vly_lock_give(&server->lock);
	put(&out, "{");
	put_stats(&out, &sum, coalesces);
	put(&out, ", \"io\": \"%s\", \"carried\": {", volley_server_get_io(server));
	put_stats(&out, &carried, coalesces);
	put(&out, "}, \"workers\": [");
	for (uint32_t i = 0; i < n_workers; i++) {
		put(&out, "%s{", i > 0 ? ", " : "");
		put_stats(&out, &stats[i], coalesces);
		put(&out, "}");
	}
	put(&out, "]}\n");
	vly_mem_free(stats);
	return (int)out.len;
}
