/* SPDX-License-Identifier: MIT */

/*
 * A function that posts itself again each time leaves no worker without mail. Datagrams are served
 * all the same, and timers fire, with each wait strategy.
 */

#include "bounds.h"

enum { N_DATAGRAMS = 20, N_FIRINGS = 20 };

static atomic_uint n_posts, n_firings;
static struct volley_timer timer;

static void post_again(struct volley_worker *worker, void *arg)
{
	atomic_fetch_add(&n_posts, 1);
	volley_server_post(volley_worker_get_server(worker), post_again, arg);
}

static void fire(struct volley_worker *worker, struct volley_timer *of, void *arg)
{
	(void)arg;
	if (atomic_fetch_add(&n_firings, 1) + 1 < N_FIRINGS)
		CHECK_EQ(volley_worker_set_timer(worker, of, 1000000, 0), 0);
}

static int on_start(struct volley_worker *worker, void *arg)
{
	(void)arg;
	timer = (struct volley_timer){ .fn = fire };
	return volley_worker_set_timer(worker, &timer, 1000000, 0);
}

static void try_one(uint32_t wait)
{
	struct volley_server *server;
	struct volley_addr addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	atomic_store(&n_firings, 0);
	server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .wait = wait, .on_start = on_start), 1,
			     0, 0);
	addr = listener_addr(server, 0);
	REQUIRE(volley_server_start(server) == 0);
	atomic_store(&n_posts, 0);
	CHECK_EQ(volley_server_post(server, post_again, NULL), 0);
	while (atomic_load(&n_posts) < 100)
		sched_yield();
	for (unsigned int i = 1; i <= N_DATAGRAMS; i++) {
		REQUIRE(sendto(fd, "x", 1, 0, &addr.sa, addr.len) == 1);
		bounds_await_calls(i);
	}
	while (atomic_load(&n_firings) < N_FIRINGS)
		sched_yield();
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
}

int main(void)
{
	promise_begin(10);
	try_one(VOLLEY_WAIT_EVENT);
	try_one(VOLLEY_WAIT_SPIN);
	try_one(VOLLEY_WAIT_BLOCK);
	return check_done();
}
