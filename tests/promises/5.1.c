/* SPDX-License-Identifier: MIT */

/*
 * stop() and a second signal wait for the callback that runs, and for no other: with callbacks of
 * 10 ms and full sockets a worker has seconds of work in one pass. What a volley still held is
 * `rx_dropped.stopped`, and the next start finds the rest where it was.
 */

#include "bounds.h"

enum { CALLBACK_US = 10000, N_EACH = 200, MAX_MS = 60 };

/* All that was sent stands under one name; at most one volley of 64 under this one. */
static void expect_books(struct volley_server *server, uint64_t n_sent, bool served)
{
	struct volley_stats stats = bounds_stats(server);

	CHECK_EQ(stats.rx_datagrams, stats.delivered + stats.rx_dropped[VOLLEY_RX_STOPPED]);
	CHECK(stats.rx_dropped[VOLLEY_RX_STOPPED] <= 64);
	CHECK(stats.delivered > 0);
	if (served)
		CHECK_EQ(stats.rx_datagrams, n_sent);
	else
		CHECK(stats.rx_datagrams < n_sent);
}

/* What a stop left is still there: a drain serves it. */
static void serve_rest(struct volley_server *server, uint64_t n_sent)
{
	expect_books(server, n_sent, false);
	atomic_store(&bounds_callback_us, 0);
	CHECK(volley_server_start(server) == 0);
	CHECK(volley_server_drain(server) == 0);
	expect_books(server, n_sent, true);
	CHECK(volley_server_free(server) == 0);
}

static void try_stop(uint32_t wait, uint32_t n_listeners)
{
	struct volley_server *server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .wait = wait),
						   n_listeners, N_EACH, CALLBACK_US);
	double begin_ms;

	REQUIRE(volley_server_start(server) == 0);
	bounds_await_calls(2);
	begin_ms = bounds_now_ms();
	CHECK(volley_server_stop(server) == 0);
	BOUNDS_CHECK(begin_ms, MAX_MS);
	serve_rest(server, (uint64_t)n_listeners * N_EACH);
}

static void *process(void *arg)
{
	while (volley_server_process(arg) >= 0)
		sched_yield();
	return NULL;
}

/* One pass of a loop of one's own is no longer either. */
static void try_own_loop(void)
{
	struct volley_server *server = bounds_open(
		VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD), 8, N_EACH, CALLBACK_US);
	pthread_t thread;
	double begin_ms;

	REQUIRE(volley_server_start(server) == 0);
	pthread_create(&thread, NULL, process, server);
	bounds_await_calls(2);
	begin_ms = bounds_now_ms();
	CHECK(volley_server_stop(server) == 0);
	BOUNDS_CHECK(begin_ms, MAX_MS);
	pthread_join(thread, NULL);
	serve_rest(server, 8 * N_EACH);
}

static void *signal_twice(void *arg)
{
	double *begin_ms = arg;

	bounds_await_calls(1);
	kill(getpid(), SIGTERM);
	bounds_await_calls(atomic_load(&bounds_n_calls) + 5); /* the drain serves */
	*begin_ms = bounds_now_ms();
	kill(getpid(), SIGTERM);
	return NULL;
}

static void try_second_signal(void)
{
	struct volley_server *server = bounds_open(
		VOLLEY_CONFIG(.n_workers = 1, .drain_us = 60000000), 8, N_EACH, CALLBACK_US);
	pthread_t thread;
	double begin_ms;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* for the thread: its signals are run's */
	pthread_create(&thread, NULL, signal_twice, &begin_ms);
	CHECK(volley_server_run(server) == 0);
	pthread_join(thread, NULL); /* it has nothing to do any more, but to say when it began */
	BOUNDS_CHECK(begin_ms, MAX_MS);
	serve_rest(server, 8 * N_EACH);
}

/* With handlers it is the handlers' callbacks, one each. */
static void try_handlers(void)
{
	struct volley_server *server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 2),
						   8, N_EACH, CALLBACK_US);
	struct volley_stats stats;
	double begin_ms;

	REQUIRE(volley_server_start(server) == 0);
	bounds_await_calls(2);
	begin_ms = bounds_now_ms();
	CHECK(volley_server_stop(server) == 0);
	BOUNDS_CHECK(begin_ms, MAX_MS);
	stats = bounds_stats(server);
	CHECK_EQ(stats.rx_datagrams, stats.delivered + stats.rx_dropped[VOLLEY_RX_STOPPED] +
					     stats.rx_dropped[VOLLEY_RX_RING_FULL]);
	CHECK(volley_server_free(server) == 0);
}

int main(void)
{
	promise_begin(10);
	try_stop(VOLLEY_WAIT_EVENT, 1);
	try_stop(VOLLEY_WAIT_EVENT, 8);
	try_stop(VOLLEY_WAIT_BLOCK, 1);
	try_stop(VOLLEY_WAIT_SPIN, 8);
	try_own_loop();
	try_second_signal();
	try_handlers();
	return check_done();
}
