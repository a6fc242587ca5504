/* SPDX-License-Identifier: MIT */

/* The statistics as JSON: every name at every level, so that readers need not ask whether. */

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "path/ledger.h"
#include "server/handover/sharers.h"
#include "server/stats.h"

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
static_assert(sizeof(struct every_counter) == VLY_SNAPSHOT_N * sizeof(uint64_t),
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
	for (int i = 0; received && i < VOLLEY_RX_N_DROPS; i++)
		put_drop(text, i == 0, vly_ledger_get_rx_name((enum volley_rx_drop)i),
			 stats->rx_dropped[i]);
	for (int i = 0; !received && i < VOLLEY_TX_N_DROPS; i++)
		put_drop(text, i == 0, vly_ledger_get_tx_name((enum volley_tx_drop)i),
			 stats->tx_dropped[i]);
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

/* Everything as of one moment. */
struct picture {
	struct volley_stats sum;
	struct volley_stats carried;
	struct volley_stats *workers;
	bool coalesces;
	uint64_t n_missing;
};

static int take_picture(struct volley_server *server, struct picture *picture)
{
	uint32_t n = server->shared.config.n_workers;

	picture->workers = vly_mem_new(server->shared.config.allocator, n,
				       sizeof *picture->workers);
	if (picture->workers == NULL)
		return -ENOMEM;
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	picture->n_missing = server->sharers.n_missing;
	picture->coalesces = server->coalesces;
	picture->carried = server->carried;
	picture->sum = server->carried;
	for (uint32_t i = 0; i < n; i++) {
		vly_stats_read(server, i, &picture->workers[i]);
		vly_ledger_add(&picture->sum, &picture->workers[i]);
	}
	vly_lock_give(&server->shared.lock);
	return 0;
}

int volley_server_format_stats(struct volley_server *server, char *text, size_t n_text)
{
	struct text out = { .at = text, .n_left = text != NULL ? n_text : 0 };
	struct picture picture;
	int r = -ESRCH;

	if (server == NULL)
		return -EINVAL;
	if (vly_process_is_here(&server->shared.process))
		r = take_picture(server, &picture);
	if (r < 0)
		return r;
	put(&out, "{");
	put_stats(&out, &picture.sum, picture.coalesces);
	put(&out, ", \"missing_books\": %ju", (uintmax_t)picture.n_missing);
	put(&out, ", \"io\": \"%s\", \"carried\": {", volley_server_get_io(server));
	put_stats(&out, &picture.carried, picture.coalesces);
	put(&out, "}, \"workers\": [");
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		put(&out, "%s{", i > 0 ? ", " : "");
		put_stats(&out, &picture.workers[i], picture.coalesces);
		put(&out, "}");
	}
	put(&out, "]}\n");
	vly_mem_free(picture.workers);
	return (int)out.len;
}
