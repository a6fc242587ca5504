/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_COUNTS_H
#define VLY_PATH_COUNTS_H

/*
 * The counters of struct volley_stats that a worker counts itself, twice for each socket: so only
 * those, and with as many drops as there are names. What is held or comes from other threads,
 * system calls, wakes, memory and what only the kernel knows is counted elsewhere.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <volley/stats.h>

#include "base/compiler.h"

struct vly_counts {
	uint64_t rx_datagrams;
	uint64_t delivered;
	uint64_t rx_dropped[VOLLEY_RX_N_DROPS];
	uint64_t rx_queued;
	uint64_t tx_requested;
	uint64_t tx_sent;
	uint64_t tx_dropped[VOLLEY_TX_N_DROPS];
	uint64_t tx_queued;
	uint64_t tx_reported;
	uint64_t rx_messages;
	uint64_t tx_messages;
	uint64_t discarded_at_close;
	uint64_t rx_batches;
	uint64_t rx_coalesced;
	uint64_t tx_segmented;
	uint64_t tx_healed;
	uint64_t tx_foreign;
};

/* How many counters each of the two has. */
enum {
	VLY_COUNTS_N = sizeof(struct vly_counts) / sizeof(uint64_t),
	VLY_COUNTS_N_STATS = (sizeof(struct volley_stats) - sizeof(size_t)) / sizeof(uint64_t),
};

/* The place of a counter in either. */
#define VLY_COUNTS_AT(field) (offsetof(struct vly_counts, field) / sizeof(uint64_t))
#define VLY_COUNTS_STATS_AT(field)                                                              \
	((offsetof(struct volley_stats, field) - offsetof(struct volley_stats, rx_datagrams)) / \
	 sizeof(uint64_t))

/*
 * Both lie in runs of the same order, of which these are the first ones: so counter i of a run is
 * counter i of the other's.
 */
#define VLY_COUNTS_RUN(field)                                                       \
	{                                                                           \
		(uint8_t) VLY_COUNTS_AT(field), (uint8_t)VLY_COUNTS_STATS_AT(field) \
	}
static const struct vly_counts_run {
	uint8_t at;
	uint8_t stats_at;
} vly_counts_runs[] = { VLY_COUNTS_RUN(rx_datagrams), VLY_COUNTS_RUN(rx_queued),
			VLY_COUNTS_RUN(tx_requested), VLY_COUNTS_RUN(tx_queued),
			VLY_COUNTS_RUN(rx_batches),   VLY_COUNTS_RUN(rx_coalesced),
			VLY_COUNTS_RUN(tx_foreign) };

/* The place in the counters of struct volley_stats of counter i of struct vly_counts. */
static inline size_t vly_counts_convert(size_t i)
{
	size_t k = VLY_ARRAY_SIZE(vly_counts_runs) - 1;

	while (vly_counts_runs[k].at > i)
		k--;
	return i - vly_counts_runs[k].at + vly_counts_runs[k].stats_at;
}

#define VLY_COUNTS_IS_RUN(first, last)                 \
	(VLY_COUNTS_AT(last) - VLY_COUNTS_AT(first) == \
	 VLY_COUNTS_STATS_AT(last) - VLY_COUNTS_STATS_AT(first))

static_assert(VLY_COUNTS_IS_RUN(rx_datagrams, rx_dropped) &&
		      VLY_COUNTS_IS_RUN(tx_requested, tx_dropped) &&
		      VLY_COUNTS_IS_RUN(tx_queued, discarded_at_close) &&
		      VLY_COUNTS_IS_RUN(rx_coalesced, tx_healed),
	      "runs of the same order");
static_assert(VLY_COUNTS_N_STATS <= UINT8_MAX, "room for their places");
static_assert(VOLLEY_RX_N_DROPS <= VLY_COUNTS_STATS_AT(rx_queued) - VLY_COUNTS_STATS_AT(rx_dropped),
	      "room for each name in what programs read");
static_assert(VOLLEY_TX_N_DROPS <= VLY_COUNTS_STATS_AT(tx_queued) - VLY_COUNTS_STATS_AT(tx_dropped),
	      "room for each name in what programs read");
static_assert(sizeof(struct volley_stats) == sizeof(size_t) + VLY_COUNTS_N_STATS * sizeof(uint64_t),
	      "counters only, no padding: they are summed as an array");

#endif
