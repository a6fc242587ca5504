/* SPDX-License-Identifier: MIT */

/*
 * Servers without a thread, against everything that wakes them: threads post and wait until what
 * they posted has run, and at the end one requests the stop. Two, and one alone, for another one's
 * posts hide that a wake was lost. A loop that sleeps in poll (or in libevent) without a time limit
 * of its own sees all of it: nobody else comes by to look, so one lost wake is a round that stands
 * still. With a client as well, whose datagrams come in between.
 *
 * Requests to stop, each right behind a post: the loop is awake or about to sleep.
 *
 * Then the same with stop, get_stats, get_timeout and a second thread in process, which all may
 * come from anywhere.
 *
 *	race_loop [--n POSTS]
 */

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"

enum { N_POSTERS = 2, PATIENCE_MS = 10000 };

static unsigned long n_posts = 20000;

static struct {
	struct volley_server *server;
	struct volley_addr to;
	atomic_ulong n_ran[N_POSTERS];
	atomic_ulong n_accepted;
	atomic_uint n_left;
	atomic_ulong n_replies;
	atomic_bool done;
	atomic_ulong round; /* of requests */
	unsigned int n_posters;
	bool asks; /* there is a client */
} race;

static void ran(struct volley_worker *worker, void *arg)
{
	(void)worker;
	atomic_fetch_add((atomic_ulong *)arg, 1);
}

/* Some in a row, some one at a time: so that the loop is found asleep, about to be, and awake. */
static void *post(void *arg)
{
	atomic_ulong *n_ran = arg;
	unsigned long n_mine = 0;

	for (unsigned long i = 0; i < n_posts; i++) {
		if (volley_server_post(race.server, ran, n_ran) == 0)
			n_mine++;
		if (i % 7 < 4)
			continue;
		while (atomic_load(n_ran) < n_mine && !atomic_load(&race.done))
			sched_yield();
	}
	atomic_fetch_add(&race.n_accepted, n_mine);
	if (atomic_fetch_sub(&race.n_left, 1) == 1)
		volley_server_request_stop(race.server);
	return NULL;
}

/* Ask for as long as it goes, two at a time; what it counts is what came back. */
static void *ask(void *arg)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	char buf[8];

	(void)arg;
	while (!atomic_load(&race.done)) {
		for (int i = 0; i < 2; i++)
			sendto(fd, "ask", 3, MSG_DONTWAIT, &race.to.sa, race.to.len);
		while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
			atomic_fetch_add(&race.n_replies, 1);
		sched_yield();
	}
	close(fd);
	return NULL;
}

static void open_race(const struct volley_config *config)
{
	race.server = peer_server(config, peer_echo, NULL, &race.to);
	for (int i = 0; i < N_POSTERS; i++)
		atomic_store(&race.n_ran[i], 0);
	atomic_store(&race.n_accepted, 0);
	atomic_store(&race.n_replies, 0);
	atomic_store(&race.done, false);
	REQUIRE(volley_server_start(race.server) == 0);
}

static void start_threads(pthread_t threads[N_POSTERS + 1], unsigned int n_posters, bool asks)
{
	race.n_posters = n_posters;
	race.asks = asks;
	atomic_store(&race.n_left, n_posters);
	for (unsigned int i = 0; i < n_posters; i++)
		REQUIRE(pthread_create(&threads[i], NULL, post, &race.n_ran[i]) == 0);
	if (asks)
		REQUIRE(pthread_create(&threads[n_posters], NULL, ask, NULL) == 0);
}

static void close_race(pthread_t threads[N_POSTERS + 1])
{
	atomic_store(&race.done, true);
	for (unsigned int i = 0; i < race.n_posters + race.asks; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(volley_server_stop(race.server), 0);
	CHECK_EQ(atomic_load(&race.n_accepted),
		 atomic_load(&race.n_ran[0]) + atomic_load(&race.n_ran[1]));
	CHECK(!race.asks || atomic_load(&race.n_replies) > 0);
	CHECK(ledger_find_server_fault(race.server) == NULL);
	CHECK_EQ(volley_server_free(race.server), 0);
}

/* The loop that the headers tell users to write. False: nothing came for far too long. */
static bool wait_and_process(int *ret_result)
{
	struct pollfd fd = { .fd = volley_server_get_fd(race.server), .events = POLLIN };
	int64_t ns = volley_server_get_timeout_ns(race.server);
	int n = poll(&fd, 1, ns < 0 ? PATIENCE_MS : (int)((ns + 999999) / 1000000));

	*ret_result = volley_server_process(race.server);
	return n != 0 || ns >= 0;
}

static void run_poll(unsigned int n_posters, bool asks)
{
	pthread_t threads[N_POSTERS + 1];
	int r = 0;

	open_race(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD));
	start_threads(threads, n_posters, asks);
	while (r >= 0)
		if (!wait_and_process(&r)) {
			CHECK(!"a wake was lost");
			break;
		}
	CHECK_EQ(r, -ESHUTDOWN);
	CHECK_EQ(atomic_load(&race.n_accepted), n_posters * n_posts);
	close_race(threads);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	CHECK(!"a wake was lost");
	event_base_loopbreak(arg);
}

static void run_base(unsigned int n_posters, bool asks)
{
	pthread_t threads[N_POSTERS + 1];
	struct event_base *base = event_base_new();
	struct event *late = evtimer_new(base, on_late, base);

	open_race(VOLLEY_CONFIG(.event_base = base));
	start_threads(threads, n_posters, asks);
	/* Unlike poll's, this clock runs from the beginning. */
	event_add(late, &(struct timeval){ .tv_sec = 120 });
	while (event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) > 1 &&
	       event_base_loop(base, EVLOOP_ONCE) == 0 && !event_base_got_break(base))
		continue;
	CHECK_EQ(atomic_load(&race.n_accepted), n_posters * n_posts);
	close_race(threads);
	event_free(late);
	event_base_free(base);
}

/* One post and one request for each round, a little later each time. */
static void *request(void *arg)
{
	for (unsigned long round = 1; round <= n_posts; round++) {
		while (atomic_load(&race.round) < round)
			sched_yield();
		volley_server_post(race.server, ran, arg);
		for (unsigned long i = 0; i < round % 512; i++)
			atomic_load(&race.round); /* passes the time */
		volley_server_request_stop(race.server);
	}
	return NULL;
}

static void run_requests(void)
{
	pthread_t thread;

	race.server = peer_server(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD), peer_echo, NULL, &race.to);
	REQUIRE(pthread_create(&thread, NULL, request, &race.n_ran[0]) == 0);
	for (unsigned long round = 1; round <= n_posts; round++) {
		int r = 0;

		REQUIRE(volley_server_start(race.server) == 0);
		atomic_store(&race.round, round);
		while (r >= 0) {
			if (!wait_and_process(&r)) {
				CHECK(!"a request was lost");
				break;
			}
		}
		REQUIRE(volley_server_stop(race.server) == 0);
	}
	pthread_join(thread, NULL);
	CHECK_EQ(volley_server_free(race.server), 0);
}

/* Another thread that processes too, and reads what there is to read. */
static void *drive(void *arg)
{
	struct volley_stats stats = { .size = sizeof stats };
	bool only_reads = arg != NULL;

	while (!atomic_load(&race.done)) {
		int64_t ns = volley_server_get_timeout_ns(race.server);
		int r = only_reads ? 0 : volley_server_process(race.server);

		if (ns < -1 || (r < 0 && r != -ESHUTDOWN) ||
		    volley_server_get_stats(race.server, &stats) != 0)
			CHECK(!"a call has a result of its own");
		sched_yield();
	}
	return NULL;
}

/* Starts and stops from here, while two threads process and others post and ask. */
static void run_from_anywhere(void)
{
	pthread_t threads[N_POSTERS + 1];
	pthread_t drivers[3];
	unsigned int n_cut = 0;

	open_race(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD));
	start_threads(threads, N_POSTERS, true);
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&drivers[i], NULL, drive, i == 2 ? &race : NULL) == 0);
	for (int i = 0; i < 200 || atomic_load(&race.n_replies) == 0; i++) {
		int r = i % 2 ? volley_server_stop(race.server) : volley_server_drain(race.server);

		if (r == -ETIME && i % 2 == 0)
			n_cut++;
		else
			CHECK_EQ(r, 0);
		CHECK_EQ(volley_server_start(race.server), 0);
		sched_yield();
	}
	atomic_store(&race.done, true);
	for (int i = 0; i < 3; i++)
		pthread_join(drivers[i], NULL);
	CHECK(n_cut <= 1); /* a drain that the last poster's request has come before */
	close_race(threads);
}

int main(int argc, char **argv)
{
	int n_fds = loopback_n_fds();

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n_posts = strtoul(argv[2], NULL, 10);
	for (int i = 0; i < 4; i++) {
		run_poll(1 + i % 2, i / 2);
		run_base(1 + i % 2, i / 2);
	}
	run_requests();
	run_from_anywhere();
	CHECK_EQ(loopback_n_fds(), n_fds);
	return check_done();
}
