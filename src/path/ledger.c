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

/* Every datagram that came in stands under one name. */
static VLY_FOR_ASSERT bool is_rx_balanced(const struct volley_stats *counts)
{
	return counts->rx_datagrams ==
	       counts->delivered + counts->rx_queued + sum(counts->rx_dropped, VOLLEY_RX_N_DROPS);
}

/* Every datagram that was to be sent stands under one name, or leaves with the next flush. */
static VLY_FOR_ASSERT bool is_tx_balanced(const struct volley_stats *counts, uint32_t n_unsent)
{
	return counts->tx_requested == counts->tx_sent + counts->tx_queued + n_unsent +
					       sum(counts->tx_dropped, VOLLEY_TX_N_DROPS);
}

void vly_ledger_publish(struct vly_books *books, uint64_t rx_syscalls, uint64_t tx_syscalls,
			uint32_t n_unsent)
{
	assert(is_rx_balanced(&books->counts));
	assert(is_tx_balanced(&books->counts, n_unsent));
	(void)n_unsent; /* without assertions */
	books->counts.rx_syscalls = rx_syscalls;
	books->counts.tx_syscalls = tx_syscalls;
	vly_snapshot_write(&books->snapshot, &books->counts);
}

void vly_ledger_read(struct vly_books *books, struct volley_stats *ret_counts)
{
	vly_snapshot_read(&books->snapshot, ret_counts);
}

void vly_ledger_add(struct volley_stats *total, const struct volley_stats *counts)
{
	uint64_t *to = &total->rx_datagrams;
	const uint64_t *from = &counts->rx_datagrams;

	for (size_t i = 0; i < VLY_SNAPSHOT_N; i++)
		to[i] += from[i];
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

static_assert(VLY_ARRAY_SIZE(rx_names) == VOLLEY_RX_N_DROPS, "a name for each drop");
static_assert(VLY_ARRAY_SIZE(tx_errors) == VOLLEY_TX_N_DROPS, "a line for each drop");

enum volley_tx_drop vly_ledger_get_tx_drop(int error)
{
	for (size_t i = 0; i < VLY_ARRAY_SIZE(tx_errors); i++)
		if (tx_errors[i].error == -error && error != 0)
			return tx_errors[i].reason;
	return VOLLEY_TX_EOTHER;
}

const char *vly_ledger_get_rx_name(enum volley_rx_drop reason)
{
	return rx_names[reason];
}

const char *vly_ledger_get_tx_name(enum volley_tx_drop reason)
{
	return tx_names[reason];
}
