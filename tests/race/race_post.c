/* SPDX-License-Identifier: MIT */

/*
 * Posts against everything: threads post as fast as they can while callbacks sleep in cancellation
 * points of their own. A post wakes a worker, in `block` by a cancellation request, and must never
 * end a callback's wait: -ECANCELED is for a stop. Every accepted post runs once on each worker, or
 * on the one that it is for, and the last one of all is not forgotten. Then the same while the
 * server stops: what was accepted has run, in the order of each poster, when the stop returns.
 *
 *	race_post [--n ROUNDS]
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <volley/mmsg.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"

enum { N_POSTERS = 2, N_WORKERS = 2, POSTS_PER_ROUND = 2000 };

static struct {
	struct volley_server *server;
	atomic_uint n_ran;
	atomic_uint n_accepted;
	atomic_uint n_waits;
	atomic_uint n_canceled;
	atomic_uint n_odd;
	int idle[2];
} race;

static void ran(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	atomic_fetch_add(&race.n_ran, 1);
}

/* Sleep for a moment on a descriptor that never has anything, then reply. */
static void wait_and_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	struct timespec moment = { .tv_nsec = 20000 };
	struct pollfd fd = { .fd = race.idle[0], .events = POLLIN };
	int r = volley_ppoll(&fd, 1, &moment, NULL);

	atomic_fetch_add(&race.n_waits, 1);
	if (r == -ECANCELED)
		atomic_fetch_add(&race.n_canceled, 1);
	else if (r != 0)
		atomic_fetch_add(&race.n_odd, 1);
	peer_echo(worker, packets, n, arg);
}

static void *post(void *arg)
{
	(void)arg;
	for (int i = 0; i < POSTS_PER_ROUND; i++) {
		/* As many runs as one to all: one to each. */
		if (i % 2 == 0 ? volley_server_post(race.server, ran, NULL) == 0
			       : volley_server_post_to(race.server, 0, ran, NULL) == 0 &&
					 volley_server_post_to(race.server, 1, ran, NULL) == 0)
			atomic_fetch_add(&race.n_accepted, 1);
		if (i % 8 == 0)
			sched_yield(); /* let workers fall asleep between bursts */
	}
	return NULL;
}

/* Posts, and a client that keeps callbacks coming, until the posters are through. */
static void run_round(const struct peer_way *way, int fd)
{
	pthread_t posters[N_POSTERS];
	struct volley_addr to;
	int n_replies = 0;

	race.server = peer_server(
		VOLLEY_CONFIG(.n_workers = N_WORKERS, .wait = way->wait, .io = way->io),
		wait_and_echo, NULL, &to);
	atomic_store(&race.n_ran, 0);
	atomic_store(&race.n_accepted, 0);
	REQUIRE(volley_server_start(race.server) == 0);
	for (int i = 0; i < N_POSTERS; i++)
		REQUIRE(pthread_create(&posters[i], NULL, post, NULL) == 0);
	for (int i = 0; i < 200; i++)
		n_replies += peer_ask(fd, &to, (uint8_t)i);
	for (int i = 0; i < N_POSTERS; i++)
		pthread_join(posters[i], NULL);
	CHECK_EQ(n_replies, 200);
	CHECK_EQ(atomic_load(&race.n_accepted), N_POSTERS * POSTS_PER_ROUND);
	/* Nobody stops the workers: only a wake that was not lost gets the last post run. */
	for (long i = 0; atomic_load(&race.n_ran) != N_WORKERS * N_POSTERS * POSTS_PER_ROUND; i++) {
		if (i > 5000) { /* five seconds: it was lost */
			CHECK(!"a post was never run");
			break;
		}
		poll(NULL, 0, 1);
	}
	CHECK_EQ(atomic_load(&race.n_canceled), 0);
	CHECK_EQ(atomic_load(&race.n_odd), 0);
	CHECK(volley_server_stop(race.server) == 0);
	CHECK_EQ(atomic_load(&race.n_ran), N_WORKERS * N_POSTERS * POSTS_PER_ROUND);
	CHECK(ledger_find_server_fault(race.server) == NULL);
	CHECK(volley_server_free(race.server) == 0);
}

/* To one worker, until the stop: poster i to worker i. */
static struct line {
	uint32_t worker_index;
	uintptr_t n_accepted;
	uintptr_t n_ran; /* the worker's, until the stop is over */
} lines[N_POSTERS];

static void ran_in_line(struct volley_worker *worker, void *arg)
{
	struct line *line = &lines[volley_worker_get_index(worker)];

	if ((uintptr_t)arg != line->n_ran++)
		atomic_fetch_add(&race.n_odd, 1);
}

static void *post_to_until_refused(void *arg)
{
	struct line *line = arg;

	while (volley_server_post_to(race.server, line->worker_index, ran_in_line,
				     (void *)line->n_accepted) == 0) {
		line->n_accepted++;
		atomic_fetch_add(&race.n_accepted, 1);
	}
	return NULL;
}

static void run_stopped_round(const struct peer_way *way, unsigned int n_before)
{
	pthread_t posters[N_POSTERS];
	struct volley_addr to;

	race.server = peer_server(
		VOLLEY_CONFIG(.n_workers = N_WORKERS, .wait = way->wait, .io = way->io), peer_echo,
		NULL, &to);
	atomic_store(&race.n_accepted, 0);
	REQUIRE(volley_server_start(race.server) == 0);
	for (uint32_t i = 0; i < N_POSTERS; i++) {
		lines[i] = (struct line){ .worker_index = i };
		REQUIRE(pthread_create(&posters[i], NULL, post_to_until_refused, &lines[i]) == 0);
	}
	while (atomic_load(&race.n_accepted) < n_before)
		sched_yield();
	CHECK(volley_server_stop(race.server) == 0);
	for (int i = 0; i < N_POSTERS; i++) {
		pthread_join(posters[i], NULL);
		CHECK_EQ(lines[i].n_ran, lines[i].n_accepted);
	}
	CHECK_EQ(atomic_load(&race.n_odd), 0);
	CHECK(volley_server_free(race.server) == 0);
}

int main(int argc, char **argv)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	unsigned long n_rounds = 3;

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n_rounds = strtoul(argv[2], NULL, 10);
	REQUIRE(pipe(race.idle) == 0);
	for (unsigned long i = 0; i < n_rounds; i++)
		for (size_t way = 0; way < PEER_N_WAYS; way++)
			run_round(&peer_ways[way], fd);
	for (unsigned long i = 0; i < 10 * n_rounds; i++)
		for (size_t way = 0; way < PEER_N_WAYS; way++)
			run_stopped_round(&peer_ways[way], 1 + (unsigned int)i * 7);
	CHECK(atomic_load(&race.n_waits) > 0);
	close(fd);
	return check_done();
}
