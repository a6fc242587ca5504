/* SPDX-License-Identifier: MIT */

/*
 * A sequence lock without stand-alone fences. The writer makes the count odd, stores each counter
 * with release (so none can be seen before the odd count), and makes it even with release. The
 * reader loads with acquire, and starts over when the count was odd or moved.
 */

#include "path/snapshot.h"

#include <stddef.h>

#include "sys/thread.h"

/* Odd from here on. */
static uint32_t begin(struct vly_snapshot *snapshot)
{
	uint32_t sequence = atomic_load_explicit(&snapshot->sequence, memory_order_relaxed);

	assert((sequence & 1) == 0);
	atomic_store_explicit(&snapshot->sequence, sequence + 1, memory_order_relaxed);
	return sequence;
}

static void end(struct vly_snapshot *snapshot, uint32_t sequence)
{
	/* release: publishes every counter that was stored since begin() */
	atomic_store_explicit(&snapshot->sequence, sequence + 2, memory_order_release);
}

void vly_snapshot_write(struct vly_snapshot *snapshot, const struct vly_counts *counts)
{
	const uint64_t *from = &counts->rx_datagrams;
	uint32_t sequence = begin(snapshot);

	for (size_t i = 0; i < VLY_COUNTS_N; i++) /* release: after the odd count */
		atomic_store_explicit(&snapshot->counts[i], from[i], memory_order_release);
	end(snapshot, sequence);
}

static inline void store(struct vly_snapshot *snapshot, const struct vly_counts *counts,
			 const uint64_t *from)
{
	/* release: after the odd count */
	atomic_store_explicit(&snapshot->counts[from - &counts->rx_datagrams], *from,
			      memory_order_release);
}

void vly_snapshot_write_hot(struct vly_snapshot *snapshot, const struct vly_counts *counts)
{
	uint32_t sequence = begin(snapshot);

	store(snapshot, counts, &counts->rx_datagrams);
	store(snapshot, counts, &counts->delivered);
	store(snapshot, counts, &counts->rx_queued); /* with handlers */
	store(snapshot, counts, &counts->tx_requested);
	store(snapshot, counts, &counts->tx_sent);
	store(snapshot, counts, &counts->rx_messages);
	store(snapshot, counts, &counts->tx_messages);
	store(snapshot, counts, &counts->rx_batches);
	store(snapshot, counts, &counts->rx_coalesced);
	store(snapshot, counts, &counts->tx_segmented);
	end(snapshot, sequence);
}

void vly_snapshot_read(const struct vly_snapshot *snapshot, struct volley_stats *ret_stats)
{
	uint64_t *to = &ret_stats->rx_datagrams;
	uint32_t n_looks = 0;
	uint32_t before;
	uint32_t after;

	*ret_stats = (struct volley_stats){ .size = sizeof *ret_stats };
	do {
		before = atomic_load_explicit(&snapshot->sequence, memory_order_acquire);
		for (size_t i = 0; i < VLY_COUNTS_N; i++)
			to[vly_counts_convert(i)] = atomic_load_explicit(&snapshot->counts[i],
									 memory_order_acquire);
		after = atomic_load_explicit(&snapshot->sequence, memory_order_relaxed);
		if (before & 1)
			vly_thread_yield(n_looks++); /* the writer may wait for this very CPU */
	} while (before != after || (before & 1));
}
