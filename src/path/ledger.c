/* SPDX-License-Identifier: MIT */

/*
 * The equations of the ledger, and the names of the drops.
 */

#include "path/ledger.h"

#include <errno.h>
#include <stdbool.h>

static uint64_t sum(const uint64_t *counts, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += counts[i];
	return total;
}

static void add(uint64_t *total, const uint64_t *counts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		total[i] += counts[i];
}

/* Every datagram that came in stands under one name. */
static VLY_FOR_ASSERT bool is_rx_balanced(const struct vly_counts *counts)
{
	return counts->rx_datagrams ==
	       counts->delivered + counts->rx_queued + sum(counts->rx_dropped, VOLLEY_RX_N_DROPS);
}

/* What stands under no name yet, because it leaves with the next flush. */
static uint64_t get_unsent(const struct vly_account *account)
{
	const struct vly_counts *counts = &account->counts;

	assert(account->n_tx_dropped == sum(counts->tx_dropped, VOLLEY_TX_N_DROPS));
	return counts->tx_requested - counts->tx_sent - counts->tx_queued - account->n_tx_dropped;
}

static void write_account(struct vly_account *account)
{
	if (account->is_rare)
		vly_snapshot_write(&account->snapshot, &account->counts);
	else
		vly_snapshot_write_hot(&account->snapshot, &account->counts);
	account->is_rare = false;
}

void vly_ledger_init(struct vly_books *books)
{
	books->now = &books->own;
}

void vly_ledger_publish(struct vly_books *books, uint64_t rx_syscalls, uint64_t tx_syscalls,
			uint32_t n_unsent)
{
	struct vly_account **link = &books->changed;
	uint64_t n = 0;

	/* Before the accounts, whose release they are published by: see vly_ledger_add_calls(). */
	atomic_store_explicit(&books->rx_syscalls, rx_syscalls, memory_order_relaxed);
	atomic_store_explicit(&books->tx_syscalls, tx_syscalls, memory_order_relaxed);
	atomic_store_explicit(&books->wakes, books->n_wakes, memory_order_relaxed);
	vly_ledger_set_account(books, &books->own);
	assert(get_unsent(&books->own) == 0 && is_rx_balanced(&books->own.counts));
	if (VLY_UNLIKELY(books->own.is_rare))
		write_account(&books->own);
	while (*link != NULL) {
		struct vly_account *account = *link;
		uint64_t n_own = get_unsent(account);

		assert(is_rx_balanced(&account->counts));
		if (n_own > 0) { /* with the flush: what is read balances */
			n += n_own;
			link = &account->next;
			continue;
		}
		write_account(account);
		account->is_changed = false;
		*link = account->next;
	}
	assert(n == n_unsent);
	(void)n_unsent; /* without assertions */
}

void vly_ledger_drop_foreign(struct vly_account *account, uint64_t n_posted)
{
	struct vly_counts *counts = &account->counts;
	uint64_t n = n_posted - counts->tx_foreign;

	assert(!account->is_changed);
	counts->tx_foreign += n;
	counts->tx_requested += n;
	counts->tx_dropped[VOLLEY_TX_STOPPED] += n;
	account->n_tx_dropped += n;
	vly_snapshot_write(&account->snapshot, counts);
}

void vly_ledger_close(struct vly_books *books, struct vly_account *account)
{
	assert(!account->is_changed && books->now != account && get_unsent(account) == 0);
	assert(account->counts.rx_queued == 0 && account->counts.tx_queued == 0);
	add(&books->own.counts.rx_datagrams, &account->counts.rx_datagrams, VLY_COUNTS_N);
	books->own.n_tx_dropped += account->n_tx_dropped;
	vly_snapshot_write(&books->own.snapshot, &books->own.counts);
}

void vly_ledger_read(const struct vly_account *account, struct volley_stats *ret_counts)
{
	vly_snapshot_read(&account->snapshot, ret_counts);
}

void vly_ledger_read_own(const struct vly_books *books, struct volley_stats *ret_counts)
{
	vly_ledger_read(&books->own, ret_counts);
}

void vly_ledger_add_calls(const struct vly_books *books, struct volley_stats *counts)
{
	counts->rx_syscalls += atomic_load_explicit(&books->rx_syscalls, memory_order_relaxed);
	counts->tx_syscalls += atomic_load_explicit(&books->tx_syscalls, memory_order_relaxed);
	counts->wakes += atomic_load_explicit(&books->wakes, memory_order_relaxed);
}

void vly_ledger_add(struct volley_stats *total, const struct volley_stats *counts)
{
	add(&total->rx_datagrams, &counts->rx_datagrams, VLY_COUNTS_N_STATS);
}

void vly_ledger_remove(struct volley_stats *total, const struct volley_stats *counts)
{
	uint64_t *from = &total->rx_datagrams;
	const uint64_t *part = &counts->rx_datagrams;

	for (size_t i = 0; i < VLY_COUNTS_N_STATS; i++)
		from[i] -= part[i];
}

/* The names of the drops: X(constant, name). The static_asserts below count them. */
#define RX_DROPS(X)                           \
	X(VOLLEY_RX_TRUNCATED, "truncated")   \
	X(VOLLEY_RX_CTRUNC, "ctrunc")         \
	X(VOLLEY_RX_RING_FULL, "ring_full")   \
	X(VOLLEY_RX_POOL_FULL, "pool_full")   \
	X(VOLLEY_RX_BAD_SOURCE, "bad_source") \
	X(VOLLEY_RX_EXPIRED, "expired")       \
	X(VOLLEY_RX_STOPPED, "stopped")       \
	X(VOLLEY_RX_COPY, "copy")

/* X(constant, name, errno), 0 for drops that are our own decision. */
#define TX_DROPS(X)                                             \
	X(VOLLEY_TX_EPERM, "EPERM", EPERM)                      \
	X(VOLLEY_TX_EMSGSIZE, "EMSGSIZE", EMSGSIZE)             \
	X(VOLLEY_TX_ENETUNREACH, "ENETUNREACH", ENETUNREACH)    \
	X(VOLLEY_TX_EHOSTUNREACH, "EHOSTUNREACH", EHOSTUNREACH) \
	X(VOLLEY_TX_EACCES, "EACCES", EACCES)                   \
	X(VOLLEY_TX_EINVAL, "EINVAL", EINVAL)                   \
	X(VOLLEY_TX_EOTHER, "EOTHER", 0)                        \
	X(VOLLEY_TX_REFUSED, "refused", 0)                      \
	X(VOLLEY_TX_NO_BUFFER, "no_buffer", 0)                  \
	X(VOLLEY_TX_BACKLOG_FULL, "backlog_full", 0)            \
	X(VOLLEY_TX_TIMEOUT, "timeout", 0)                      \
	X(VOLLEY_TX_STOPPED, "stopped", 0)

#define RX_NAME(constant, name)         [constant] = (name),
#define TX_NAME(constant, name, error)  [constant] = (name),
#define TX_ERROR(constant, name, error) { constant, error },

static const char *const rx_names[] = { RX_DROPS(RX_NAME) };
static const char *const tx_names[] = { TX_DROPS(TX_NAME) };
static const struct {
	enum volley_tx_drop reason;
	int error;
} tx_errors[] = { TX_DROPS(TX_ERROR) };

/* The other errors of a send that has no way: its interface is gone or down, or has no address. */
static const int no_ways[] = { ENODEV, ENXIO, ENETDOWN, EADDRNOTAVAIL };

static_assert(VLY_ARRAY_SIZE(rx_names) == VOLLEY_RX_N_DROPS, "a name for each drop");
static_assert(VLY_ARRAY_SIZE(tx_errors) == VOLLEY_TX_N_DROPS, "a line for each drop");

enum volley_tx_drop vly_ledger_get_tx_drop(int error)
{
	for (size_t i = 0; i < VLY_ARRAY_SIZE(tx_errors); i++)
		if (tx_errors[i].error == -error && error != 0)
			return tx_errors[i].reason;
	for (size_t i = 0; i < VLY_ARRAY_SIZE(no_ways); i++)
		if (no_ways[i] == -error)
			return VOLLEY_TX_ENETUNREACH;
	return VOLLEY_TX_EOTHER;
}

const char *volley_rx_drop_name(uint32_t reason)
{
	return reason < VLY_ARRAY_SIZE(rx_names) ? rx_names[reason] : NULL;
}

const char *volley_tx_drop_name(uint32_t reason)
{
	return reason < VLY_ARRAY_SIZE(tx_names) ? tx_names[reason] : NULL;
}
