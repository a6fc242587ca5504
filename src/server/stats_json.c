/* SPDX-License-Identifier: MIT */

/* The statistics as JSON: every name at every level, so that readers need not ask whether. */

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "path/ledger.h"
#include "path/listener.h"
#include "path/remote.h"
#include "server/handover/sharers.h"
#include "server/stats.h"
#include "sys/clock.h"
#include "sys/process.h"

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

/*
 * The counters, in the order of the JSON: X(field, how many numbers it has). A counter of struct
 * volley_stats that is not here does not compile.
 */
#define COUNTERS(X)                      \
	X(rx_datagrams, 1)               \
	X(delivered, 1)                  \
	X(rx_dropped, VOLLEY_RX_N_DROPS) \
	X(rx_queued, 1)                  \
	X(held_taken, 1)                 \
	X(held_replied, 1)               \
	X(held_released, 1)              \
	X(held_expired, 1)               \
	X(held_abandoned, 1)             \
	X(held_now, 1)                   \
	X(held_refused, 1)               \
	X(tx_requested, 1)               \
	X(tx_sent, 1)                    \
	X(tx_dropped, VOLLEY_TX_N_DROPS) \
	X(tx_queued, 1)                  \
	X(tx_reported, 1)                \
	X(tx_foreign, 1)                 \
	X(rx_messages, 1)                \
	X(tx_messages, 1)                \
	X(discarded_at_close, 1)         \
	X(unread_bytes, 1)               \
	X(kernel_drops, 1)               \
	X(rx_batches, 1)                 \
	X(rx_syscalls, 1)                \
	X(tx_syscalls, 1)                \
	X(rx_coalesced, 1)               \
	X(tx_segmented, 1)               \
	X(tx_healed, 1)                  \
	X(wakes, 1)                      \
	X(memory_bytes, 1)

#define MEMBER(field, n) uint64_t field[n];
struct every_counter {
	COUNTERS(MEMBER)
};
enum {
	N_NAMELESS = 2 * 32 - VOLLEY_RX_N_DROPS - VOLLEY_TX_N_DROPS /* places for names to come */
};
static_assert(sizeof(struct every_counter) == (VLY_COUNTS_N_STATS - N_NAMELESS) * sizeof(uint64_t),
	      "the JSON has every counter");

struct counter {
	const char *name;
	size_t offset;
};

#define COUNTER(field, n) { #field, offsetof(struct volley_stats, field) },
static const struct counter counters[] = { COUNTERS(COUNTER) };

static uint64_t get(const struct volley_stats *stats, const struct counter *counter)
{
	uint64_t value;

	memcpy(&value, (const char *)stats + counter->offset, sizeof value);
	return value;
}

static void put_drop(struct text *text, bool first, const char *name, uint64_t count)
{
	put(text, "%s\"%s\": %llu", first ? "" : ", ", name, (unsigned long long)count);
}

static void put_drops(struct text *text, const struct volley_stats *stats, bool received)
{
	put(text, received ? "\"rx_dropped\": {" : "\"tx_dropped\": {");
	for (uint32_t i = 0; received && i < VOLLEY_RX_N_DROPS; i++)
		put_drop(text, i == 0, volley_rx_drop_name(i), stats->rx_dropped[i]);
	for (uint32_t i = 0; !received && i < VOLLEY_TX_N_DROPS; i++)
		put_drop(text, i == 0, volley_tx_drop_name(i), stats->tx_dropped[i]);
	put(text, "}, ");
}

/* The kernel reports unread bytes, not messages, so only zero is exact. */
static void put_unread(struct text *text, const struct volley_stats *stats)
{
	if (stats->unread_bytes == 0)
		put(text, "\"unread\": 0, \"enqueued\": %ju, ",
		    (uintmax_t)stats->rx_messages + stats->discarded_at_close);
	else
		put(text, "\"unread\": null, \"enqueued\": null, ");
}

static void put_stats(struct text *text, const struct volley_stats *stats, bool coalesces)
{
	bool lost = stats->kernel_drops > 0 || stats->discarded_at_close > 0;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(counters); i++) {
		const struct counter *counter = &counters[i];

		if (counter->offset == offsetof(struct volley_stats, rx_dropped)) {
			put_drops(text, stats, true);
			continue;
		}
		if (counter->offset == offsetof(struct volley_stats, tx_dropped)) {
			put_drops(text, stats, false);
			continue;
		}
		if (counter->offset == offsetof(struct volley_stats, unread_bytes))
			put_unread(text, stats);
		put(text, "\"%s\": %ju, ", counter->name, (uintmax_t)get(stats, counter));
	}
	/* The kernel counts messages; with GRO one may have been several datagrams. */
	put(text, "\"datagrams_exact\": %s", coalesces && lost ? "false" : "true");
}

/* A listener in the picture. */
struct row {
	struct volley_stats stats;
	struct volley_addr addr; /* len 0: there is none at this index */
	bool coalesces;
};

/* Everything as of one moment. */
struct picture {
	struct volley_stats sum;
	struct volley_stats carried;
	struct volley_stats closed; /* of listeners that are no more */
	struct volley_stats *workers;
	struct row *rows; /* by the index of the listener */
	uint32_t n_rows;
	bool coalesces;
	uint64_t n_missing;
};

/* Rows for all listeners there are. The lock is given back meanwhile, so more may come. */
static int make_rows(struct volley_server *server, struct picture *picture)
	VLY_REQUIRES(server->shared.lock)
{
	while (picture->n_rows < server->n_listeners) {
		picture->n_rows = server->n_listeners;
		vly_lock_give(&server->shared.lock);
		vly_mem_free(picture->rows);
		picture->rows = vly_mem_new(server->shared.config.allocator, picture->n_rows,
					    sizeof *picture->rows);
		vly_lock_take(&server->shared.lock);
		if (picture->rows == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* One that is being added has sockets before it is in the set. */
static struct volley_stats *find_row(const struct volley_server *server,
				     const struct vly_listener *listener, struct picture *picture)
{
	uint32_t i = listener->index;
	bool is_there = i < server->n_listeners && server->listeners[i] == listener;

	return is_there ? &picture->rows[i].stats : &picture->closed;
}

/* Each part stands in one row, and in the worker's. */
static void add_worker(struct volley_server *server, uint32_t worker_index, struct picture *picture)
	VLY_REQUIRES(server->shared.lock)
{
	struct volley_worker *worker = &server->workers[worker_index];
	struct volley_stats *sum = &picture->workers[worker_index];
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	struct volley_stats part;

	vly_lock_assume(&worker->shared->lock);
	vly_remote_read_gone(worker, &part);
	vly_ledger_add(&picture->closed, &part);
	vly_ledger_add(sum, &part);
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index)) {
		vly_remote_read_stats(worker, sock, &part);
		vly_ledger_add(sum, &part);
		vly_ledger_add(find_row(server, sock->listener, picture), &part);
	}
	vly_stats_add_own(worker, sum);
	vly_ledger_add(&picture->sum, sum);
}

static void fill_picture(struct volley_server *server, struct picture *picture)
	VLY_REQUIRES(server->shared.lock)
{
	struct volley_stats gone;

	vly_sharers_update(server);
	picture->n_missing = server->sharers.n_missing;
	picture->coalesces = server->coalesces;
	picture->carried = server->carried;
	picture->sum = server->carried;
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		add_worker(server, i, picture);
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		const struct vly_listener *listener = server->listeners[i];

		if (listener == NULL)
			continue;
		assert(picture->rows != NULL);
		picture->rows[i].addr = listener->addr;
		picture->rows[i].coalesces = listener->coalesces_in;
		vly_stats_read_gone(listener, &gone);
		vly_ledger_add(&picture->rows[i].stats, &gone);
		vly_ledger_remove(&picture->closed, &gone);
	}
}

static int take_picture(struct volley_server *server, struct picture *picture)
{
	int r;

	picture->workers = vly_mem_new(server->shared.config.allocator,
				       server->shared.config.n_workers, sizeof *picture->workers);
	if (picture->workers == NULL)
		return -ENOMEM;
	vly_lock_take(&server->shared.lock);
	r = make_rows(server, picture);
	if (r >= 0)
		fill_picture(server, picture);
	vly_lock_give(&server->shared.lock);
	return r;
}

static void put_time(struct text *text, const char *name, uint64_t unix_ms)
{
	put(text, "\"%s\": %ju.%03u, ", name, (uintmax_t)(unix_ms / 1000),
	    (unsigned int)(unix_ms % 1000));
}

static void put_head(struct text *text, const struct volley_server *server)
{
	put(text, "{\"schema\": %d, \"version\": \"%s\", \"pid\": %d, ", VOLLEY_STATS_SCHEMA,
	    volley_version(), (int)vly_process_get_id());
	put_time(text, "started", server->started_ms);
	put_time(text, "now", vly_clock_get_unix_ms());
	put(text, "\"io\": \"%s\", ", volley_server_get_io(server));
}

/* An interface's name in an address may have any characters but '/' and blanks. */
static void put_string(struct text *text, const char *string)
{
	put(text, "\"");
	for (; *string != '\0'; string++) {
		if ((unsigned char)*string < ' ' || *string == '"' || *string == '\\')
			put(text, "\\u%04x", (unsigned char)*string);
		else
			put(text, "%c", *string);
	}
	put(text, "\"");
}

static void put_rows(struct text *text, const struct picture *picture)
{
	const char *separator = "";

	put(text, ", \"listeners\": [");
	for (uint32_t i = 0; i < picture->n_rows; i++) {
		const struct row *row = &picture->rows[i];
		char address[VOLLEY_ADDR_TEXT_BYTES];

		if (row->addr.len == 0)
			continue;
		volley_addr_format(&row->addr, address, sizeof address);
		put(text, "%s{\"index\": %u, \"address\": ", separator, i);
		put_string(text, address);
		put(text, ", ");
		put_stats(text, &row->stats, row->coalesces);
		put(text, "}");
		separator = ", ";
	}
	put(text, "]");
}

static void put_picture(struct text *text, const struct volley_server *server,
			const struct picture *picture)
{
	put_head(text, server);
	put_stats(text, &picture->sum, picture->coalesces);
	put(text, ", \"missing_books\": %ju, \"carried\": {", (uintmax_t)picture->n_missing);
	put_stats(text, &picture->carried, picture->coalesces);
	put(text, "}, \"workers\": [");
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		put(text, "%s{", i > 0 ? ", " : "");
		put_stats(text, &picture->workers[i], picture->coalesces);
		put(text, "}");
	}
	put(text, "]");
	put_rows(text, picture);
	put(text, ", \"closed\": {");
	put_stats(text, &picture->closed, picture->coalesces);
	put(text, "}}\n");
}

int volley_server_format_stats(struct volley_server *server, char *text, size_t n_text)
{
	struct text out = { .at = text, .n_left = text != NULL ? n_text : 0 };
	struct picture picture = { .n_rows = 0 };
	int r = -ESRCH;

	if (server == NULL)
		return -EINVAL;
	if (vly_process_is_here(&server->shared.process))
		r = take_picture(server, &picture);
	if (r >= 0)
		put_picture(&out, server, &picture);
	vly_mem_free(picture.rows);
	vly_mem_free(picture.workers);
	return r < 0 ? r : (int)out.len;
}
