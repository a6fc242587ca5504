/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_COUNTS_H
#define VLY_PATH_COUNTS_H

/*
 * The counters of struct volley_stats as a worker keeps them, twice for each socket: with as many
 * drops as there are names, not with the room that programs have for names to come.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <volley/stats.h>

struct vly_counts {
	uint64_t rx_datagrams;
	uint64_t delivered;
	uint64_t rx_dropped[VOLLEY_RX_N_DROPS];
	uint64_t rx_queued;
	uint64_t held_taken;
	uint64_t held_replied;
	uint64_t held_released;
	uint64_t held_expired;
	uint64_t held_abandoned;
	uint64_t held_now;
	uint64_t tx_requested;
	uint64_t tx_sent;
	uint64_t tx_dropped[VOLLEY_TX_N_DROPS];
	uint64_t tx_queued;
	uint64_t tx_reported;
	uint64_t rx_messages;
	uint64_t tx_messages;
	uint64_t discarded_at_close;
	uint64_t unread_bytes;
	uint64_t kernel_drops;
	uint64_t rx_batches;
	uint64_t rx_syscalls;
	uint64_t tx_syscalls;
	uint64_t rx_coalesced;
	uint64_t tx_segmented;
	uint64_t tx_healed;
	uint64_t wakes;
	uint64_t memory_bytes;
	uint64_t held_refused;
	uint64_t tx_foreign;
};

/* How many counters each of the two has. */
enum {
	VLY_COUNTS_N = sizeof(struct vly_counts) / sizeof(uint64_t),
	VLY_COUNTS_N_STATS = (sizeof(struct volley_stats) - sizeof(size_t)) / sizeof(uint64_t),
};

/*
 * Both lie in three runs of the same order, each of which ends with the drops of a direction or
 * with the struct. So they are copied by these: counter i of one run is counter i of the other.
 */
#define VLY_COUNTS_AT(field) (offsetof(struct vly_counts, field) / sizeof(uint64_t))
#define VLY_COUNTS_STATS_AT(field)                                                              \
	((offsetof(struct volley_stats, field) - offsetof(struct volley_stats, rx_datagrams)) / \
	 sizeof(uint64_t))

/* The place in the counters of struct volley_stats of counter i of struct vly_counts. */
static inline size_t vly_counts_convert(size_t i)
{
	if (i < VLY_COUNTS_AT(rx_queued))
		return i;
	if (i < VLY_COUNTS_AT(tx_queued))
		return i + VLY_COUNTS_STATS_AT(rx_queued) - VLY_COUNTS_AT(rx_queued);
	return i + VLY_COUNTS_STATS_AT(tx_queued) - VLY_COUNTS_AT(tx_queued);
}

static_assert(VOLLEY_RX_N_DROPS <= VLY_COUNTS_STATS_AT(rx_queued) - VLY_COUNTS_STATS_AT(rx_dropped),
	      "room for each name in what programs read");
static_assert(VOLLEY_TX_N_DROPS <= VLY_COUNTS_STATS_AT(tx_queued) - VLY_COUNTS_STATS_AT(tx_dropped),
	      "room for each name in what programs read");
static_assert(VLY_COUNTS_AT(rx_dropped) == VLY_COUNTS_STATS_AT(rx_dropped), "the first run");
static_assert(VLY_COUNTS_AT(tx_dropped) - VLY_COUNTS_AT(rx_queued) ==
		      VLY_COUNTS_STATS_AT(tx_dropped) - VLY_COUNTS_STATS_AT(rx_queued),
	      "the second run");
static_assert(VLY_COUNTS_N - VLY_COUNTS_AT(tx_queued) ==
		      VLY_COUNTS_N_STATS - VLY_COUNTS_STATS_AT(tx_queued),
	      "the third run");
static_assert(sizeof(struct volley_stats) == sizeof(size_t) + VLY_COUNTS_N_STATS * sizeof(uint64_t),
	      "counters only, no padding: they are summed as an array");

#endif
