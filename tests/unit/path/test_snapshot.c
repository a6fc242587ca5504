/* SPDX-License-Identifier: MIT */

/* One writer's counters as a reader sees them. tests/race/race_stats.c has many readers. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "path/snapshot.h"

static struct vly_snapshot snapshot;
static sem_t reads;

/* Counter i is first + i. */
static void number(struct volley_stats *stats, uint64_t first)
{
	uint64_t *counts = &stats->rx_datagrams;

	for (size_t i = 0; i < VLY_SNAPSHOT_N; i++)
		counts[i] = first + i;
}

Test(snapshot, what_is_published_is_read, .timeout = 60)
{
	struct volley_stats in = { 0 }, out = { .size = 7 };
	const uint64_t *counts = &out.rx_datagrams;

	for (uint64_t round = 1; round <= 3; round++) {
		number(&in, round * 1000);
		vly_snapshot_write(&snapshot, &in);
		vly_snapshot_read(&snapshot, &out);
		for (size_t i = 0; i < VLY_SNAPSHOT_N; i++)
			cr_assert_eq(counts[i], round * 1000 + i);
		cr_assert_eq(snapshot.sequence, 2 * round);
	}
	cr_assert_eq(out.size, 7);
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
	for (size_t i = 0; i < VLY_SNAPSHOT_N; i++)
		atomic_store(&snapshot.counts[i], 1 + i);
	atomic_store(&snapshot.sequence, 2);
	pthread_join(thread, NULL);
	cr_assert_eq(out.rx_datagrams, 1);
	cr_assert_eq(counts[VLY_SNAPSHOT_N - 1], VLY_SNAPSHOT_N);
}
