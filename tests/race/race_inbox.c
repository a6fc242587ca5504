/* SPDX-License-Identifier: MIT */

/*
 * Four producers and a consumer that really sleeps, in a read of an eventfd. A producer pushes a
 * burst, then sleeps until the consumer has told it that the burst's last node is there, so all
 * five are asleep as often as can be and every wake matters: one that is missed leaves everybody
 * asleep, which the consumer notices after MISSED_MS.
 *
 * Before that, the one moment that matters, over and over: a push and a sleep at the same time. The
 * sleep may be refused, or the push may have to wake, or both, but never neither. With a release
 * store in vly_inbox_sleep(), some 20 rounds of a million were "neither" on a busy x86.
 *
 *	race_inbox [--n NODES]		in all, 2,000,000 unless told
 */

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "data/inbox.h"
#include "lib/check.h"

#define N_PRODUCERS 4
#define MAX_BURST   32
/* Nobody is ever busy for this long; a machine that stalls for longer fails this test wrongly. */
#define MISSED_MS 20000

struct note {
	struct vly_inbox_node node;
	uint64_t sequence;
	uint32_t producer;
	bool last; /* of its burst */
};

struct producer {
	VLY_ALIGNED struct race *race;
	struct note notes[MAX_BURST];
	pthread_t thread;
	uint64_t n_claimed; /* wakes this one had to do */
	uint64_t expected;  /* the consumer's: the next sequence */
	int burst_taken;    /* eventfd */
	uint32_t id;
};

struct race {
	struct vly_inbox inbox;
	struct producer producers[N_PRODUCERS];
	uint64_t n_each;
	uint64_t n_sleeps;
	uint64_t n_claims_seen;
	uint64_t n_wrong;
	int wake;
};

static void signal_eventfd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof one) != sizeof one)
		abort();
}

/* The producers sleep for ever then, so there is nobody to join. */
static void give_up(const char *why)
{
	check_count(0, __FILE__, __LINE__, why);
	exit(check_done());
}

static void *produce(void *arg)
{
	struct producer *self = arg;
	uint64_t sequence = 0, count;
	uint32_t state = self->id;

	while (sequence < self->race->n_each) {
		uint64_t left = self->race->n_each - sequence;
		uint32_t n;

		state = state * 1664525 + 1013904223;
		n = 1 + (state >> 16) % MAX_BURST;
		/* Most bursts are short: it is the first node after a silence that wakes. */
		if (state & (1u << 28))
			n = 1;
		if (n > left)
			n = (uint32_t)left;
		for (uint32_t i = 0; i < n; i++) {
			struct note *note = &self->notes[i];

			note->sequence = sequence++;
			note->producer = self->id;
			note->last = i + 1 == n;
			if (!vly_inbox_push(&self->race->inbox, &note->node))
				continue;
			self->n_claimed++;
			signal_eventfd(self->race->wake);
		}
		if (read(self->burst_taken, &count, sizeof count) != sizeof count)
			abort();
	}
	return NULL;
}

static uint64_t consume_all(struct race *race)
{
	struct vly_inbox_node *node = vly_inbox_take(&race->inbox);
	uint64_t n = 0;

	while (node != NULL) {
		struct note *note = VLY_CONTAINER_OF(node, struct note, node);
		struct producer *from = &race->producers[note->producer];

		node = node->next; /* the note is its producer's again as soon as it is told */
		if (note->sequence != from->expected)
			race->n_wrong++;
		from->expected = note->sequence + 1;
		if (note->last)
			signal_eventfd(from->burst_taken);
		n++;
	}
	return n;
}

static void consume(struct race *race)
{
	struct pollfd pollfd = { .fd = race->wake, .events = POLLIN };
	uint64_t n = 0, count;

	while (n < race->n_each * N_PRODUCERS) {
		if (vly_inbox_sleep(&race->inbox)) {
			race->n_sleeps++;
			/* Only a claimed wake ends this wait. */
			if (poll(&pollfd, 1, MISSED_MS) != 1)
				give_up("a wake was missed");
		}
		if (vly_inbox_awake(&race->inbox)) {
			race->n_claims_seen++;
			/* Blocks until the producer that claimed it has written. */
			if (read(race->wake, &count, sizeof count) != sizeof count || count != 1)
				race->n_wrong++;
		}
		n += consume_all(race);
	}
}

struct moment {
	struct vly_inbox inbox;
	struct vly_inbox_node node;
	VLY_ALIGNED _Atomic uint64_t started; /* round, written by the consumer */
	VLY_ALIGNED _Atomic uint64_t ended;   /* round, written by the producer */
	bool claimed;                         /* the producer's, published by `ended` */
	uint64_t n_rounds;
};

/* Spin, for the two to be close; but give way where both share one core. */
static void await(_Atomic uint64_t *round, uint64_t value)
{
	for (uint32_t n = 1; atomic_load_explicit(round, memory_order_acquire) != value; n++)
		if (n % 1000 == 0)
			sched_yield();
}

static void *push_each_round(void *arg)
{
	struct moment *moment = arg;

	for (uint64_t round = 1; round <= moment->n_rounds; round++) {
		await(&moment->started, round);
		moment->claimed = vly_inbox_push(&moment->inbox, &moment->node);
		/* Publishes claimed. */
		atomic_store_explicit(&moment->ended, round, memory_order_release);
	}
	return NULL;
}

static void run_moment(uint64_t n_rounds)
{
	struct moment *moment = vly_mem_new(NULL, 1, sizeof *moment);
	uint64_t n_neither = 0, n_refused = 0, n_lost = 0;
	pthread_t producer;

	REQUIRE(moment != NULL);
	vly_inbox_init(&moment->inbox);
	moment->n_rounds = n_rounds;
	REQUIRE(pthread_create(&producer, NULL, push_each_round, moment) == 0);
	for (uint64_t round = 1; round <= n_rounds; round++) {
		_Atomic uint64_t delay = 0;
		bool slept;

		/* Publishes that the node and the inbox are the producer's to use. */
		atomic_store_explicit(&moment->started, round, memory_order_release);
		/* The producer hears of it a little later: sweep over the time that takes. */
		while (atomic_fetch_add_explicit(&delay, 1, memory_order_relaxed) < round % 64)
			;
		slept = vly_inbox_sleep(&moment->inbox);
		await(&moment->ended, round);
		n_neither += slept && !moment->claimed;
		n_refused += !slept;
		vly_inbox_awake(&moment->inbox);
		n_lost += vly_inbox_take(&moment->inbox) != &moment->node;
	}
	pthread_join(producer, NULL);
	CHECK_EQ(n_neither, 0);
	CHECK_EQ(n_lost, 0);
	printf("%" PRIu64 " sleeps beside a push, %" PRIu64 " refused, %" PRIu64 " missed\n",
	       n_rounds, n_refused, n_neither);
	vly_mem_free(moment);
}

int main(int argc, char **argv)
{
	struct race *race = vly_mem_new(NULL, 1, sizeof *race);
	uint64_t n = 2000000, n_claimed = 0;

	REQUIRE(race != NULL);
	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n = strtoull(argv[2], NULL, 10);
	run_moment(n / 2);
	vly_inbox_init(&race->inbox);
	race->n_each = n / N_PRODUCERS;
	race->wake = eventfd(0, EFD_CLOEXEC);
	REQUIRE(race->wake >= 0);
	for (uint32_t i = 0; i < N_PRODUCERS; i++) {
		struct producer *producer = &race->producers[i];

		producer->race = race;
		producer->id = i;
		producer->burst_taken = eventfd(0, EFD_CLOEXEC);
		REQUIRE(producer->burst_taken >= 0);
		REQUIRE(pthread_create(&producer->thread, NULL, produce, producer) == 0);
	}
	consume(race);
	for (uint32_t i = 0; i < N_PRODUCERS; i++) {
		struct producer *producer = &race->producers[i];

		pthread_join(producer->thread, NULL);
		close(producer->burst_taken);
		CHECK_EQ(producer->expected, race->n_each); /* nothing lost, nothing doubled */
		n_claimed += producer->n_claimed;
	}
	CHECK_EQ(race->n_wrong, 0);
	CHECK(vly_inbox_take(&race->inbox) == NULL);
	CHECK_EQ(race->n_claims_seen, n_claimed); /* every wake was wanted and told */
	CHECK(race->n_sleeps > 0);
	printf("%" PRIu64 " nodes, %" PRIu64 " sleeps, %" PRIu64 " wakes\n",
	       race->n_each * N_PRODUCERS, race->n_sleeps, n_claimed);
	close(race->wake);
	vly_mem_free(race);
	return check_done();
}
