/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_LEDGER_H
#define VLY_PATH_LEDGER_H

/*
 * The ledger: one worker's books, with an account for each of its sockets and one of its own. Only
 * the worker counts, each event in one function, on the account that is set. It publishes once a
 * volley; anyone reads what was published. docs/accounting.md says what each name means.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <volley/stats.h>

#include "path/snapshot.h"

/* What was counted of one socket. It lies in the socket; what is zero is a new one. */
struct vly_account {
	struct vly_counts counts;
	uint64_t n_tx_dropped;    /* the sum of counts.tx_dropped */
	struct vly_account *next; /* in books.changed */
	bool is_changed;          /* it stands there */
	bool is_rare;             /* others than the counters of each volley have moved */
	struct vly_snapshot snapshot;
};

struct vly_books {
	struct vly_account *now;     /* the account on which is counted */
	uint64_t n_replies;          /* requested, and not in it yet */
	struct vly_account *changed; /* since they were published last; `own` not among them */
	uint64_t n_rx_queued;        /* of all accounts */
	uint64_t n_tx_queued;
	uint64_t n_wakes;
	struct vly_account own; /* of no socket, or of one that is gone */
	/* The worker's, published: as new as any account's at least. */
	_Atomic uint64_t rx_syscalls;
	_Atomic uint64_t tx_syscalls;
	_Atomic uint64_t wakes;
};

void vly_ledger_init(struct vly_books *books);

/*
 * Worker: publish, with the numbers of system calls so far. `n_unsent` replies are in no count yet
 * because the next flush sends them; their accounts are published then. Debug builds assert that
 * the equations of the ledger hold.
 */
void vly_ledger_publish(struct vly_books *books, uint64_t rx_syscalls, uint64_t tx_syscalls,
			uint32_t n_unsent);

/*
 * Worker: of the sends that other threads have ever posted to an account's socket, those that have
 * not reached it are dropped as `stopped`, for the socket goes. Published at once.
 */
void vly_ledger_drop_foreign(struct vly_account *account, uint64_t n_posted);

/* Worker: an account's socket goes, so its counts are the worker's own from here on. */
void vly_ledger_close(struct vly_books *books, struct vly_account *account);

/* Worker: whether there is something to publish. */
static inline bool vly_ledger_has_changed(const struct vly_books *books)
{
	return books->changed != NULL;
}

/*
 * Anyone: read what was last published of one account; of `own`, and of the worker's counters that
 * belong to no account (in this order: after the accounts).
 */
void vly_ledger_read(const struct vly_account *account, struct volley_stats *ret_counts);
void vly_ledger_read_own(const struct vly_books *books, struct volley_stats *ret_counts);
void vly_ledger_add_calls(const struct vly_books *books, struct volley_stats *counts);

/* Add counters to others, name by name. */
void vly_ledger_add(struct volley_stats *sum, const struct volley_stats *counts);

/* And take them away from others that they are part of. */
void vly_ledger_remove(struct volley_stats *sum, const struct volley_stats *counts);

/* The name of a failed send's drop. */
enum volley_tx_drop vly_ledger_get_tx_drop(int error);

/* Counting, all of it the worker's ------------------------------------------------------------ */

/*
 * The account on which is counted from here on; returns the one before. What a callback can reach
 * sets that again when it is done. After a publish it is the worker's own.
 */
static inline struct vly_account *vly_ledger_set_account(struct vly_books *books,
							 struct vly_account *account)
{
	struct vly_account *before = books->now;

	before->counts.tx_requested += books->n_replies;
	books->n_replies = 0;
	books->now = account;
	if (account->is_changed || account == &books->own)
		return before;
	account->is_changed = true;
	account->next = books->changed;
	books->changed = account;
	return before;
}

/* For what belongs to no socket. */
static inline void vly_ledger_set_own(struct vly_books *books)
{
	vly_ledger_set_account(books, &books->own);
	books->own.is_rare = true;
}

static inline struct vly_account *vly_ledger_get_account(const struct vly_books *books)
{
	return books->now;
}

/* The counts, for a counter that each volley moves, and for another. */
static inline struct vly_counts *vly_ledger_get_hot(struct vly_books *books)
{
	return &books->now->counts;
}

static inline struct vly_counts *vly_ledger_get_rare(struct vly_books *books)
{
	books->now->is_rare = true;
	return &books->now->counts;
}

/* A volley of n messages was received; one message was several datagrams. */
static inline void vly_ledger_count_volley(struct vly_books *books, uint32_t n)
{
	vly_ledger_get_hot(books)->rx_batches++;
	vly_ledger_get_hot(books)->rx_messages += n;
}

static inline void vly_ledger_count_coalesced(struct vly_books *books)
{
	vly_ledger_get_hot(books)->rx_coalesced++;
}

/* The kernel gave n datagrams, which are then delivered, dropped, or queued for handlers. */
static inline void vly_ledger_count_taken(struct vly_books *books, uint32_t n)
{
	vly_ledger_get_hot(books)->rx_datagrams += n;
}

static inline void vly_ledger_count_delivered(struct vly_books *books, uint32_t n)
{
	vly_ledger_get_hot(books)->delivered += n;
}

static inline void vly_ledger_drop_rx(struct vly_books *books, enum volley_rx_drop reason)
{
	vly_ledger_get_rare(books)->rx_dropped[reason]++;
}

/* The kernel gave n datagrams, and none of them is delivered. */
static inline void vly_ledger_refuse_rx(struct vly_books *books, enum volley_rx_drop reason,
					uint32_t n)
{
	vly_ledger_get_rare(books)->rx_datagrams += n;
	vly_ledger_get_rare(books)->rx_dropped[reason] += n;
}

static inline void vly_ledger_queue_rx(struct vly_books *books)
{
	vly_ledger_get_hot(books)->rx_queued++;
	books->n_rx_queued++;
}

static inline void vly_ledger_unqueue_rx(struct vly_books *books)
{
	vly_ledger_get_hot(books)->rx_queued--;
	books->n_rx_queued--;
}

/* A packet is replied to in its callback: counted with its volley, without a look at an account. */
static inline void vly_ledger_request_reply(struct vly_books *books)
{
	books->n_replies++;
}

/* n datagrams are to be sent, which are then sent, dropped, or queued in a backlog. */
static inline void vly_ledger_request_tx(struct vly_books *books, uint32_t n)
{
	vly_ledger_get_hot(books)->tx_requested += n;
}

static inline void vly_ledger_drop_tx(struct vly_books *books, enum volley_tx_drop reason,
				      uint32_t n)
{
	vly_ledger_get_rare(books)->tx_dropped[reason] += n;
	books->now->n_tx_dropped += n;
}

static inline void vly_ledger_queue_tx(struct vly_books *books)
{
	vly_ledger_get_rare(books)->tx_queued++;
	books->n_tx_queued++;
}

static inline void vly_ledger_unqueue_tx(struct vly_books *books, uint32_t n)
{
	vly_ledger_get_rare(books)->tx_queued -= n;
	books->n_tx_queued -= n;
}

/* The kernel took n messages, and so many datagrams in them; of a message, whether segmented. */
static inline void vly_ledger_count_sent(struct vly_books *books, uint32_t n_messages,
					 uint32_t n_datagrams)
{
	vly_ledger_get_hot(books)->tx_messages += n_messages;
	vly_ledger_get_hot(books)->tx_sent += n_datagrams;
}

static inline void vly_ledger_count_segmented(struct vly_books *books, uint32_t n)
{
	vly_ledger_get_hot(books)->tx_segmented += n;
}

static inline void vly_ledger_count_healed(struct vly_books *books)
{
	vly_ledger_get_rare(books)->tx_healed++;
}

static inline void vly_ledger_count_reported(struct vly_books *books)
{
	vly_ledger_get_rare(books)->tx_reported++;
}

/* Another thread's send has reached the worker. */
static inline void vly_ledger_count_foreign(struct vly_books *books)
{
	vly_ledger_get_rare(books)->tx_foreign++;
}

static inline void vly_ledger_count_discarded(struct vly_books *books, uint32_t n)
{
	vly_ledger_get_rare(books)->discarded_at_close += n;
}

static inline void vly_ledger_count_wake(struct vly_books *books)
{
	books->n_wakes++;
}

/* What the socket of the account that is set has sent so far. */
static inline uint64_t vly_ledger_get_tx_sent(struct vly_books *books)
{
	return vly_ledger_get_hot(books)->tx_sent;
}

/* What waits: in backlogs, and in handlers' hands. */
static inline uint64_t vly_ledger_get_tx_queued(const struct vly_books *books)
{
	return books->n_tx_queued;
}

static inline uint64_t vly_ledger_get_rx_queued(const struct vly_books *books)
{
	return books->n_rx_queued;
}

#endif
