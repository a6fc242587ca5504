/* SPDX-License-Identifier: MIT */

/* One writer's counters as a reader sees them. tests/race/race_stats.c has many readers. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "path/snapshot.h"

static struct vly_snapshot snapshot;
static sem_t reads;

/* Counter i is first + i. */
static void number(struct vly_counts *counts, uint64_t first)
{
	uint64_t *all = &counts->rx_datagrams;

	for (size_t i = 0; i < VLY_COUNTS_N; i++)
		all[i] = first + i;
}

static uint64_t *counts_of(struct volley_stats *stats)
{
	return &stats->rx_datagrams;
}

/* The struct of the workers and that of programs have the same names in the same order. */
Test(snapshot, each_counter_keeps_its_name)
{
	struct volley_stats out = { .size = 7 };
	struct vly_counts in;
	size_t n = VOLLEY_RX_N_DROPS + VOLLEY_TX_N_DROPS;

	number(&in, 1);
	vly_snapshot_write(&snapshot, &in);
	vly_snapshot_read(&snapshot, &out);
#define SAME(name) (n++, out.name == in.name)
	cr_assert(SAME(rx_datagrams) && SAME(delivered) && SAME(rx_queued));
	cr_assert(SAME(tx_requested) && SAME(tx_sent) && SAME(tx_queued) && SAME(tx_reported));
	cr_assert(SAME(rx_messages) && SAME(tx_messages) && SAME(discarded_at_close));
	cr_assert(SAME(rx_batches) && SAME(rx_coalesced));
	cr_assert(SAME(tx_segmented) && SAME(tx_healed) && SAME(tx_foreign));
#undef SAME
	cr_assert_eq(n, VLY_COUNTS_N, "a counter is not looked at here");
	for (size_t i = 0; i < VOLLEY_RX_N_DROPS; i++)
		cr_assert_eq(out.rx_dropped[i], in.rx_dropped[i]);
	for (size_t i = 0; i < VOLLEY_TX_N_DROPS; i++)
		cr_assert_eq(out.tx_dropped[i], in.tx_dropped[i]);
}

Test(snapshot, what_is_published_is_read, .timeout = 60)
{
	struct volley_stats out = { .size = 7 };
	const uint64_t *counts = &out.rx_datagrams;
	struct vly_counts in;

	for (uint64_t round = 1; round <= 3; round++) {
		memset(counts_of(&out), 0xee, VLY_COUNTS_N_STATS * sizeof(uint64_t));
		number(&in, round * 1000);
		vly_snapshot_write(&snapshot, &in);
		vly_snapshot_read(&snapshot, &out);
		for (size_t i = 0; i < VLY_COUNTS_N; i++)
			cr_assert_eq(counts[vly_counts_convert(i)], round * 1000 + i);
		cr_assert_eq(out.rx_dropped[VOLLEY_RX_N_DROPS], 0, "no name, no count");
		cr_assert_eq(out.rx_dropped[31], 0);
		cr_assert_eq(out.tx_dropped[31], 0);
		cr_assert_eq(out.held_taken + out.kernel_drops + out.wakes, 0, "not here");
		cr_assert_eq(snapshot.sequence, 2 * round);
	}
	cr_assert_eq(out.size, sizeof out);
}

static void *read_it(void *arg)
{
	sem_post(&reads);
	vly_snapshot_read(&snapshot, arg);
	return NULL;
}

/* The writer has begun and not ended: what stands there belongs to no instant. */
Test(snapshot, a_reader_waits_for_the_end_of_a_write, .timeout = 60)
{
	struct volley_stats out = { 0 };
	const uint64_t *counts = &out.rx_datagrams;
	pthread_t thread;

	atomic_store(&snapshot.sequence, 1);
	sem_init(&reads, 0, 0);
	cr_assert_eq(pthread_create(&thread, NULL, read_it, &out), 0);
	while (sem_wait(&reads) < 0)
		continue;
	for (int i = 0; i < 100; i++)
		sched_yield();
	for (size_t i = 0; i < VLY_COUNTS_N; i++)
		atomic_store(&snapshot.counts[i], 1 + i);
	atomic_store(&snapshot.sequence, 2);
	pthread_join(thread, NULL);
	cr_assert_eq(out.rx_datagrams, 1);
	cr_assert_eq(counts[VLY_COUNTS_N_STATS - 1], VLY_COUNTS_N);
}
