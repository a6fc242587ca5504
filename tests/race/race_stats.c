/* SPDX-License-Identifier: MIT */

/*
 * A worker publishes its counters while two threads read them: whatever is read was true at one
 * instant. Snapshot k has counter i at k * (i + 1), so any mixture of two is seen.
 *
 *	race_stats [--n SNAPSHOTS]
 */

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/check.h"
#include "path/snapshot.h"

enum { N_READERS = 2 };

static struct vly_snapshot snapshot;
static uint64_t n_snapshots = 200000;
static atomic_bool done;

static void *read_on(void *arg)
{
	struct volley_stats stats = { 0 };
	const uint64_t *counts = &stats.rx_datagrams;
	uint64_t n_reads = 0, n_torn = 0, n_back = 0, last = 0;

	(void)arg;
	while (!atomic_load_explicit(&done, memory_order_acquire) || n_reads == 0) {
		vly_snapshot_read(&snapshot, &stats);
		for (size_t i = 0; i < VLY_COUNTS_N; i++)
			n_torn += counts[vly_counts_convert(i)] != counts[0] * (i + 1);
		n_back += counts[0] < last;
		last = counts[0];
		n_reads++;
	}
	CHECK_EQ(n_torn, 0);
	CHECK_EQ(n_back, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	struct volley_stats stats = { 0 };
	struct vly_counts written;
	uint64_t *counts = &written.rx_datagrams;
	pthread_t readers[N_READERS];

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n_snapshots = strtoull(argv[2], NULL, 10);
	for (int i = 0; i < N_READERS; i++)
		REQUIRE(pthread_create(&readers[i], NULL, read_on, NULL) == 0);
	for (uint64_t k = 1; k <= n_snapshots; k++) {
		for (size_t i = 0; i < VLY_COUNTS_N; i++)
			counts[i] = k * (i + 1);
		vly_snapshot_write(&snapshot, &written);
		/* A volley's worth of time, in which readers get through. */
		if (k % 16 == 0)
			sched_yield();
	}
	atomic_store_explicit(&done, true, memory_order_release);
	for (int i = 0; i < N_READERS; i++)
		pthread_join(readers[i], NULL);
	vly_snapshot_read(&snapshot, &stats);
	CHECK_EQ(stats.rx_datagrams, n_snapshots);
	return check_done();
}
