/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_LEDGER_H
#define VLY_PATH_LEDGER_H

/*
 * The ledger: one worker's books. Only the worker counts, each event in one function, and publishes
 * once a volley; anyone reads what was published. docs/accounting.md says what each name means.
 */

#include <stdint.h>

#include <volley/stats.h>

#include "path/snapshot.h"

struct vly_books {
	struct volley_stats counts;
	struct vly_snapshot snapshot;
};

/*
 * Worker: publish, with the numbers of system calls so far. `n_unsent` replies are in no count yet
 * because the next flush sends them. Debug builds assert that the equations of the ledger hold.
 */
void vly_ledger_publish(struct vly_books *books, uint64_t rx_syscalls, uint64_t tx_syscalls,
			uint32_t n_unsent);

/* Anyone: read what was last published. */
void vly_ledger_read(struct vly_books *books, struct volley_stats *ret_counts);

/* Add counters to others, name by name. */
void vly_ledger_add(struct volley_stats *sum, const struct volley_stats *counts);

/* The name of a failed send's drop. */
enum volley_tx_drop vly_ledger_get_tx_drop(int error);

/* The names of the drops, as the JSON has them. */
const char *vly_ledger_get_rx_name(enum volley_rx_drop reason);
const char *vly_ledger_get_tx_name(enum volley_tx_drop reason);

/* Counting, all of it the worker's ------------------------------------------------------------ */

/* A volley of n messages was received; one message was several datagrams. */
static inline void vly_ledger_count_volley(struct vly_books *books, uint32_t n)
{
	books->counts.rx_batches++;
	books->counts.rx_messages += n;
}

static inline void vly_ledger_count_coalesced(struct vly_books *books)
{
	books->counts.rx_coalesced++;
}

/* The kernel gave n datagrams, which are then delivered, dropped, or queued for handlers. */
static inline void vly_ledger_count_taken(struct vly_books *books, uint32_t n)
{
	books->counts.rx_datagrams += n;
}

static inline void vly_ledger_count_delivered(struct vly_books *books, uint32_t n)
{
	books->counts.delivered += n;
}

static inline void vly_ledger_drop_rx(struct vly_books *books, enum volley_rx_drop reason)
{
	books->counts.rx_dropped[reason]++;
}

/* The kernel gave n datagrams, and none of them is delivered. */
static inline void vly_ledger_refuse_rx(struct vly_books *books, enum volley_rx_drop reason,
					uint32_t n)
{
	books->counts.rx_datagrams += n;
	books->counts.rx_dropped[reason] += n;
}

static inline void vly_ledger_queue_rx(struct vly_books *books)
{
	books->counts.rx_queued++;
}

static inline void vly_ledger_unqueue_rx(struct vly_books *books)
{
	books->counts.rx_queued--;
}

/* n datagrams are to be sent, which are then sent, dropped, or queued in a backlog. */
static inline void vly_ledger_request_tx(struct vly_books *books, uint32_t n)
{
	books->counts.tx_requested += n;
}

static inline void vly_ledger_drop_tx(struct vly_books *books, enum volley_tx_drop reason,
				      uint32_t n)
{
	books->counts.tx_dropped[reason] += n;
}

static inline void vly_ledger_queue_tx(struct vly_books *books)
{
	books->counts.tx_queued++;
}

static inline void vly_ledger_unqueue_tx(struct vly_books *books)
{
	books->counts.tx_queued--;
}

/* The kernel took n messages, and so many datagrams in them; of a message, whether segmented. */
static inline void vly_ledger_count_sent(struct vly_books *books, uint32_t n_messages,
					 uint32_t n_datagrams)
{
	books->counts.tx_messages += n_messages;
	books->counts.tx_sent += n_datagrams;
}

static inline void vly_ledger_count_segmented(struct vly_books *books, uint32_t n)
{
	books->counts.tx_segmented += n;
}

static inline void vly_ledger_count_healed(struct vly_books *books)
{
	books->counts.tx_healed++;
}

static inline void vly_ledger_count_reported(struct vly_books *books)
{
	books->counts.tx_reported++;
}

/* Another thread's send has reached the worker. */
static inline void vly_ledger_count_foreign(struct vly_books *books)
{
	books->counts.tx_foreign++;
}

static inline void vly_ledger_count_discarded(struct vly_books *books, uint32_t n)
{
	books->counts.discarded_at_close += n;
}

static inline void vly_ledger_count_wake(struct vly_books *books)
{
	books->counts.wakes++;
}

/* What waits: in backlogs, and in handlers' hands. */
static inline uint64_t vly_ledger_get_tx_queued(const struct vly_books *books)
{
	return books->counts.tx_queued;
}

static inline uint64_t vly_ledger_get_rx_queued(const struct vly_books *books)
{
	return books->counts.rx_queued;
}

#endif
