/* SPDX-License-Identifier: MIT */

/*
 * The life of a server: every function in every state, with the result that its header promises.
 * Threads meet by semaphores; nothing sleeps to synchronise.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/ledger.h"
#include "lib/lifetime.h"
#include "server/listeners.h"

enum state { NEW, LISTENING, RUNNING, LEFT, STOPPED, DRAINED, CLOSED, N_STATES };

TestSuite(server, .init = count_fds, .fini = compare_fds, .timeout = 60);

static struct volley_server *make(enum state state)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 2), &server), 0);
	if (state >= LISTENING)
		cr_assert_eq(listen_once(server), 0);
	if (state >= RUNNING)
		cr_assert_eq(volley_server_start(server), 0);
	if (state == LEFT) {
		cr_assert_eq(volley_server_request_stop(server), 0);
		wait_left(server);
	}
	if (state == STOPPED || state == CLOSED)
		cr_assert_eq(volley_server_stop(server), 0);
	if (state == DRAINED)
		cr_assert_eq(volley_server_drain(server), 0);
	if (state == CLOSED)
		cr_assert_eq(volley_server_close(server), 0);
	return server;
}

/* Which states, as a mask. */
#define IN(state) (1u << (state))

typedef int (*server_fn)(struct volley_server *server);

/* In every state of the mask the function gives r, in all others `otherwise`. */
static void expect(server_fn fn, int r, unsigned int mask, int otherwise)
{
	for (int state = NEW; state < N_STATES; state++) {
		struct volley_server *server = make((enum state)state);
		int expected = mask & IN(state) ? r : otherwise;

		cr_assert_eq(fn(server), expected, "in state %d", state);
		cr_assert_null(ledger_find_server_fault(server));
		cr_assert_eq(volley_server_free(server), 0);
	}
}

static int listen_again(struct volley_server *server)
{
	int r = listen_once(server);

	return r > 0 ? 0 : r; /* the index differs */
}

Test(server, listen_works_until_the_server_is_closed)
{
	expect(listen_again, -ESHUTDOWN, IN(CLOSED), 0);
}

Test(server, start_serves_whenever_it_can)
{
	for (int state = NEW; state < N_STATES; state++) {
		struct volley_server *server = make((enum state)state);
		int r = start_and_ask(server);

		if (state == NEW || state == CLOSED)
			cr_assert_eq(r, -ENOTCONN);
		else if (state == RUNNING || state == LEFT)
			cr_assert_eq(r, -EALREADY);
		else
			cr_assert_eq(r, 0, "in state %d: %d", state, r);
		cr_assert_eq(volley_server_free(server), 0);
	}
}

Test(server, stop_drain_close_and_request_stop_are_fine_in_any_state)
{
	expect(volley_server_stop, 0, ~0u, 0);
	expect(volley_server_drain, 0, ~0u, 0);
	expect(volley_server_close, 0, ~0u, 0);
	expect(volley_server_request_stop, 0, ~0u, 0);
}

static void count_fn(struct volley_worker *worker, void *arg)
{
	atomic_uint *count = arg;

	(void)worker;
	atomic_fetch_add(count, 1);
}

static atomic_uint n_ran;

static int post(struct volley_server *server)
{
	return volley_server_post(server, count_fn, &n_ran);
}

Test(server, post_needs_workers)
{
	expect(post, 0, IN(RUNNING), -ESHUTDOWN);
	cr_assert_eq(atomic_load(&n_ran), 2, "on each of two workers, though stopped at once");
}

static int free_null(struct volley_server *server)
{
	(void)server;
	return volley_server_free(NULL);
}

Test(server, free_takes_null_and_any_state)
{
	expect(free_null, 0, ~0u, 0);
}

Test(server, getters_reply_in_any_state)
{
	for (int state = NEW; state < N_STATES; state++) {
		struct volley_server *server = make((enum state)state);

		cr_assert_eq(volley_server_get_n_workers(server), 2);
		cr_assert_not_null(volley_server_get_io(server));
		cr_assert_eq(vly_listeners_get(server, 0) == NULL, state == NEW);
		cr_assert_null(vly_listeners_get(server, 1));
		cr_assert_gt(volley_server_format_stats(server, NULL, 0), 0);
		volley_server_free(server);
	}
}

Test(server, new_without_a_config_has_a_worker_per_cpu)
{
	struct volley_server *server;
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	cr_assert_eq(volley_server_new(NULL, &server), 0);
	cr_assert_eq(volley_server_get_n_workers(server), (uint32_t)CPU_COUNT(&set));
	volley_server_free(server);
}

Test(server, new_leaves_its_result_alone_on_failure)
{
	struct volley_server *server = (void *)&server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_batch = 5000), &server), -EINVAL);
	cr_assert_eq(server, (void *)&server);
}

Test(server, block_has_one_place_to_sleep)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_BLOCK), &server), 0);
	cr_assert_eq(listen_once(server), 0);
	cr_assert_eq(listen_once(server), 0);
	cr_assert_eq(volley_server_start(server), -EINVAL);
	cr_assert_eq(volley_server_run(server), -EINVAL);
	volley_server_free(server);
}

/* More than any table begins with, and than fitted when there was a limit of 64. */
Test(server, listeners_have_no_end)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server), 0);
	for (int i = 0; i < 150; i++)
		cr_assert_eq(listen_once(server), 0);
	cr_assert_eq(start_and_ask(server), 0);
	volley_server_free(server);
}

/* Every way to run ----------------------------------------------------------------------------- */

/* Odd rounds end with a stop, which keeps what comes later, even ones with a drain. */
static void serve_a_round(struct volley_server *server, int fd, const struct volley_addr *to,
			  uint8_t round)
{
	uint8_t waited[16] = { 0 };

	cr_assert_eq(volley_server_start(server), 0);
	if (round % 2 == 0) {
		cr_assert_eq(loopback_recv(fd, waited, sizeof waited, NULL), 16);
		cr_assert_eq(waited[0], 99, "what waited over a stop is served first");
	}
	cr_assert(peer_ask(fd, to, round));
	cr_assert_eq(round % 2 == 0 ? volley_server_drain(server) : volley_server_stop(server), 0);
	cr_assert_null(ledger_find_server_fault(server));
	loopback_send(fd, to, 99, 16);
}

Test(server, every_strategy_and_backend_serves_stops_and_serves_again)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		struct volley_stats stats = { .size = sizeof stats };
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 1,
									 .wait = peer_ways[i].wait,
									 .io = peer_ways[i].io),
							   peer_echo, NULL, &to);

		cr_assert_str_eq(volley_server_get_io(server), peer_ways[i].io);
		for (uint8_t round = 1; round <= 4; round++)
			serve_a_round(server, fd, &to, round);
		cr_assert_eq(volley_server_start(server), 0);
		cr_assert(peer_ask(fd, &to, 77));
		cr_assert_eq(volley_server_stop(server), 0);
		cr_assert_eq(volley_server_get_stats(server, &stats), 0);
		cr_assert_eq(stats.kernel_drops, 2, "what came after a drain was refused");
		cr_assert_eq(stats.tx_sent, 4 + 2 + 1);
		cr_assert_eq(volley_server_free(server), 0);
	}
	close(fd);
}

/* From inside ---------------------------------------------------------------------------------- */

static struct {
	sem_t done;
	int stop, drain, close, free, listen, start, run, request;
} inside;

static void try_all(struct volley_worker *worker)
{
	struct volley_server *server = volley_worker_get_server(worker);

	inside.stop = volley_server_stop(server);
	inside.drain = volley_server_drain(server);
	inside.close = volley_server_close(server);
	inside.free = volley_server_free(server);
	inside.listen = listen_once(server);
	inside.start = volley_server_start(server);
	inside.run = volley_server_run(server);
	inside.request = volley_server_request_stop(server);
}

static void try_all_inside(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	(void)packets, (void)n, (void)arg;
	try_all(worker);
	sem_post(&inside.done);
}

Test(server, a_callback_cannot_wait_for_itself)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2,
									 .wait = peer_ways[i].wait,
									 .io = peer_ways[i].io),
							   try_all_inside, NULL, &to);

		sem_init(&inside.done, 0, 0);
		cr_assert_eq(volley_server_start(server), 0);
		loopback_send(fd, &to, 1, 8);
		sem_wait(&inside.done);
		cr_assert_eq(inside.stop, -EDEADLK);
		cr_assert_eq(inside.drain, -EDEADLK);
		cr_assert_eq(inside.close, -EDEADLK);
		cr_assert_eq(inside.free, -EDEADLK);
		cr_assert_eq(inside.listen, -EDEADLK);
		cr_assert_eq(inside.start, -EALREADY);
		cr_assert_eq(inside.run, -EALREADY);
		cr_assert_eq(inside.request, 0);
		wait_left(server); /* both workers, for request_stop() is about the server */
		cr_assert_eq(volley_server_free(server), 0);
	}
	close(fd);
}

/* Threads -------------------------------------------------------------------------------------- */

static void *call_stop(void *server)
{
	return volley_server_stop(server) == 0 ? server : NULL;
}

Test(server, stops_may_meet)
{
	struct volley_server *server = make(LISTENING);

	for (int round = 0; round < 20; round++) {
		pthread_t threads[3];
		void *r;

		cr_assert_eq(volley_server_start(server), 0);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(pthread_create(&threads[i], NULL, call_stop, server), 0);
		for (int i = 0; i < 3; i++) {
			pthread_join(threads[i], &r);
			cr_assert_eq(r, server);
		}
	}
	volley_server_free(server);
}

Test(server, clients_spread_over_workers)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2), peer_echo, NULL,
						   &to);
	struct volley_stats stats = { .size = sizeof stats };
	uint64_t sum = 0;

	cr_assert_eq(volley_server_start(server), 0);
	for (int i = 0; i < 64; i++) {
		int fd = loopback_open("127.0.0.1:0", NULL);

		cr_assert(peer_ask(fd, &to, (uint8_t)i));
		close(fd);
	}
	cr_assert_eq(volley_server_stop(server), 0);
	for (uint32_t i = 0; i < 2; i++) {
		cr_assert_eq(volley_server_get_worker_stats(server, i, &stats), 0);
		/* 64 fair coins: all on one side once in 2^63. */
		cr_assert_gt(stats.delivered, 0, "worker %u got nothing", i);
		sum += stats.delivered;
	}
	cr_assert_eq(sum, 64);
	volley_server_free(server);
}
