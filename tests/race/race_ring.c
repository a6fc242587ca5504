/* SPDX-License-Identifier: MIT */

/*
 * Two threads, one ring of every size from 2 to 1,024, and a way back. The producer owns a buffer
 * until it pushes its index, the consumer from its pop until it hands the index back: each writes
 * to the buffer without atomics, so ThreadSanitizer sees when a position is published too early.
 * There are twice as many buffers as the ring has entries, so that it is full often and empty
 * often; where one thread is much slower, the other waits for either to happen once. The positions
 * start half of the run before 2^32: each run wraps in its middle.
 *
 *	race_ring [--n INDICES]		in all, 100,000,000 unless told
 */

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/ring.h"
#include "lib/check.h"

#define BATCH    64
#define MAX_SIZE 1024
/*
 * Looks in vain before the processor is given away: time enough for a thread on another core to
 * come round, and not much to burn where the two share one.
 */
#define N_SPINS 20

struct race {
	struct vly_ring there; /* of the size in question */
	struct vly_ring back;  /* has room for every buffer */
	uint64_t buffers[2 * MAX_SIZE];
	uint64_t n;               /* indices to move */
	uint64_t n_wrong;         /* consumer's */
	_Atomic uint64_t n_full;  /* producer's: short pushes */
	_Atomic uint64_t n_empty; /* consumer's */
};

/* A number from 1 to BATCH; any sequence will do that is not in step with the ring. */
static uint32_t next_batch(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return 1 + (*state >> 16) % BATCH;
}

/* Give the processor away after every N_SPINS looks in vain. */
static void pause_after(uint32_t n_moved, uint32_t *n_spins)
{
	if (n_moved > 0 || ++*n_spins < N_SPINS)
		return;
	*n_spins = 0;
	sched_yield();
}

/* Relaxed, as the counting is: that would hide an order that the ring owes. */
static void wait_until_met(_Atomic uint64_t *n_met)
{
	while (atomic_load_explicit(n_met, memory_order_relaxed) == 0)
		sched_yield();
}

static void count(_Atomic uint64_t *n_met)
{
	atomic_fetch_add_explicit(n_met, 1, memory_order_relaxed);
}

static uint32_t at_most(uint32_t n, uint64_t left)
{
	return left < n ? (uint32_t)left : n;
}

static void *produce(void *arg)
{
	struct race *race = arg;
	uint32_t indices[BATCH], n_held = 0, n_spins = 0, state = 1;
	uint64_t sent = 0, stamp = 0;

	while (sent < race->n) {
		uint32_t n;

		if (n_held == 0) {
			uint32_t want = at_most(next_batch(&state), race->n - sent);

			n_held = vly_ring_pop(&race->back, indices, want);
			for (uint32_t i = 0; i < n_held; i++)
				race->buffers[indices[i]] = stamp++;
		}
		n = vly_ring_push(&race->there, indices, n_held);
		if (n < n_held)
			count(&race->n_full);
		pause_after(n, &n_spins);
		memmove(indices, indices + n, (n_held - n) * sizeof indices[0]);
		n_held -= n;
		sent += n;
		if (sent >= race->n / 2)
			wait_until_met(&race->n_empty);
	}
	return NULL;
}

static void consume(struct race *race)
{
	uint32_t indices[BATCH], n_spins = 0, state = 2;
	uint64_t got = 0;

	wait_until_met(&race->n_full);
	while (got < race->n) {
		uint32_t n = vly_ring_pop(&race->there, indices, next_batch(&state));

		if (n == 0)
			count(&race->n_empty);
		pause_after(n, &n_spins);
		for (uint32_t i = 0; i < n; i++) {
			if (race->buffers[indices[i]] != got + i)
				race->n_wrong++;
			race->buffers[indices[i]] = UINT64_MAX; /* a buffer sent twice shows */
		}
		got += n;
		if (vly_ring_push(&race->back, indices, n) != n)
			race->n_wrong++;
	}
}

static void run(uint32_t size, uint64_t n)
{
	struct race *race = vly_mem_new(NULL, 1, sizeof *race);
	uint32_t first = UINT32_MAX - (uint32_t)(n / 2);
	pthread_t producer;

	REQUIRE(race != NULL);
	race->n = n;
	REQUIRE(vly_ring_init(&race->there, NULL, size, first) == 0);
	REQUIRE(vly_ring_init(&race->back, NULL, 2 * size, first) == 0);
	for (uint32_t i = 0; i < 2 * size; i++)
		vly_ring_push(&race->back, &i, 1);
	CHECK_EQ(vly_ring_count(&race->back), 2 * size);
	REQUIRE(pthread_create(&producer, NULL, produce, race) == 0);
	consume(race);
	pthread_join(producer, NULL);

	CHECK_EQ(race->n_wrong, 0);
	CHECK_EQ(vly_ring_count(&race->there), 0);
	CHECK_EQ(vly_ring_count(&race->back), 2 * size);
	CHECK(atomic_load(&race->there.tail) < first); /* it did wrap */
	CHECK_EQ((uint32_t)(atomic_load(&race->there.tail) - first), (uint32_t)n);
	CHECK(atomic_load(&race->n_full) > 0 && atomic_load(&race->n_empty) > 0);
	printf("size %4" PRIu32 ": %" PRIu64 " indices, full %" PRIu64 " times, empty %" PRIu64
	       " times, %" PRIu64 " wrong\n",
	       size, n, atomic_load(&race->n_full), atomic_load(&race->n_empty), race->n_wrong);
	vly_ring_fini(&race->there);
	vly_ring_fini(&race->back);
	vly_mem_free(race);
}

int main(int argc, char **argv)
{
	uint64_t n = 100000000;

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n = strtoull(argv[2], NULL, 10);
	/* A fifth goes to the small sizes: they cost a switch of threads for every few indices. */
	for (uint32_t size = 2; size <= MAX_SIZE; size *= 2)
		run(size, size <= 32 ? n / 25 : n * 4 / 25);
	return check_done();
}
