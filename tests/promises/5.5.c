/* SPDX-License-Identifier: MIT */

/* stop() is bounded, however many threads ask for a stop again and again meanwhile. */

#include "bounds.h"

enum { N_THREADS = 4, N_ROUNDS = 20, MAX_MS = 500 };

static struct volley_server *server;
static atomic_bool ends;

static void *request(void *arg)
{
	while (!atomic_load(&ends))
		volley_server_request_stop(server);
	return arg;
}

static void start_and_stop(uint32_t wait)
{
	pthread_t threads[N_THREADS];
	double begin_ms;

	server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .wait = wait), 1, 0, 0);
	atomic_store(&ends, false);
	for (int i = 0; i < N_THREADS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, request, NULL) == 0);
	for (int i = 0; i < N_ROUNDS; i++) {
		CHECK_EQ(volley_server_start(server), 0);
		begin_ms = bounds_now_ms();
		CHECK_EQ(volley_server_stop(server), 0);
		BOUNDS_CHECK(begin_ms, MAX_MS);
	}
	atomic_store(&ends, true);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(15);
	start_and_stop(VOLLEY_WAIT_EVENT);
	start_and_stop(VOLLEY_WAIT_BLOCK);
	start_and_stop(VOLLEY_WAIT_FD);
	return check_done();
}
