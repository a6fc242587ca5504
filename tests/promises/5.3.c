/* SPDX-License-Identifier: MIT */

/*
 * stop() is hard and drain() is polite, whoever else does what; request_stop() is polite under run
 * and hard without it. Asking once more never changes what was asked for.
 */

#include "bounds.h"

enum { N_EACH = 200, CALLBACK_US = 1000, SLOW_US = 10000, MAX_MS = 60 };

static struct volley_server *server;

static void *run(void *arg)
{
	CHECK_EQ(volley_server_run(server), 0);
	return arg;
}

static void *drain(void *arg)
{
	volley_server_drain(server); /* -ETIME when it was cut short */
	return arg;
}

/* A server with a second of work, inside run; it has begun. */
static pthread_t run_full(unsigned int callback_us)
{
	pthread_t runner;

	server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .drain_us = 60000000), 2, N_EACH,
			     callback_us);
	REQUIRE(pthread_create(&runner, NULL, run, NULL) == 0);
	bounds_await_calls(1);
	return runner;
}

static void expect_all_served(void)
{
	struct volley_stats stats = bounds_stats(server);

	CHECK_EQ(stats.delivered, 2 * N_EACH);
	CHECK_EQ(volley_server_close(server), 0);
	CHECK_EQ(bounds_stats(server).discarded_at_close, 0);
	CHECK_EQ(volley_server_free(server), 0);
}

static void expect_cut_short(double begin_ms)
{
	BOUNDS_CHECK(begin_ms, MAX_MS);
	CHECK(bounds_stats(server).delivered < 2 * N_EACH);
	CHECK_EQ(volley_server_free(server), 0);
}

static void request_often_under_run(void)
{
	pthread_t runner = run_full(CALLBACK_US);

	for (unsigned int i = 1; i <= 20; i++) {
		CHECK_EQ(volley_server_request_stop(server), 0);
		bounds_await_calls(i * 5); /* it drains meanwhile */
	}
	pthread_join(runner, NULL);
	expect_all_served();
}

static void drain_twice(bool under_run)
{
	pthread_t runner = { 0 };
	pthread_t drainers[3];

	if (under_run) {
		runner = run_full(CALLBACK_US);
	} else {
		server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .drain_us = 60000000), 2, N_EACH,
				     CALLBACK_US);
		REQUIRE(volley_server_start(server) == 0);
	}
	for (unsigned int i = 0; i < 3; i++) {
		bounds_await_calls(20 * (i + 1));
		REQUIRE(pthread_create(&drainers[i], NULL, drain, NULL) == 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(drainers[i], NULL);
	if (under_run)
		pthread_join(runner, NULL);
	expect_all_served();
}

static void stop_under_run(bool drains_already)
{
	pthread_t runner = run_full(SLOW_US);
	double begin_ms;

	if (drains_already) {
		CHECK_EQ(volley_server_request_stop(server), 0);
		bounds_await_calls(10);
	}
	begin_ms = bounds_now_ms();
	CHECK_EQ(volley_server_stop(server), 0);
	pthread_join(runner, NULL);
	expect_cut_short(begin_ms);
}

/* Without run, while another thread drains: both of these end it. */
static void cut_drain_short(int (*cut)(struct volley_server *))
{
	pthread_t drainer;
	double begin_ms;

	server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .drain_us = 60000000), 2, N_EACH,
			     SLOW_US);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(pthread_create(&drainer, NULL, drain, NULL) == 0);
	bounds_await_calls(10);
	begin_ms = bounds_now_ms();
	CHECK_EQ(cut(server), 0);
	pthread_join(drainer, NULL);
	expect_cut_short(begin_ms);
}

int main(void)
{
	promise_begin(10);
	request_often_under_run();
	drain_twice(true);
	drain_twice(false);
	stop_under_run(false);
	stop_under_run(true);
	cut_drain_short(volley_server_stop);
	cut_drain_short(volley_server_request_stop);
	return check_done();
}
