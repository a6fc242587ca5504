/* SPDX-License-Identifier: MIT */

/*
 * The time of a held packet is over when it is over, and its token is stale then, also while the
 * callback that held it still runs: a handler's, beside a worker that sleeps, and the worker's own,
 * which nobody can interrupt.
 */

#include <semaphore.h>

#include "bounds.h"
#include "lib/listeners.h"
#include "sending.h"

enum { HOLD_MS = 30, N_HELD = 1 };

static struct volley_server *server;
static struct volley_held held;
static sem_t entered, go;
static atomic_uint n_held;

static const struct volley_config *make_config(uint32_t wait, uint32_t n_handlers)
{
	static struct volley_config config;

	config = *VOLLEY_CONFIG(.n_workers = 1, .n_handlers = n_handlers, .wait = wait,
				.hold_us = HOLD_MS * 1000, .n_held = N_HELD);
	return &config;
}

/* It holds, and goes on for as long as the test likes. */
static void hold_and_stay(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	CHECK_EQ(volley_packet_hold(packet, &held), 0);
	atomic_fetch_add(&n_held, 1);
	sem_post(&entered);
	sem_wait(&go);
}

static void send_one(void)
{
	const struct volley_addr *addr = LISTENER_ADDR(server, 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0 && sendto(fd, "x", 1, 0, &addr->sa, addr->len) == 1);
	close(fd);
}

static void check_stale(void)
{
	CHECK_EQ(volley_held_get_payload(server, held, NULL, 0), -ESTALE);
	CHECK_EQ(volley_held_reply(server, held, "late", 4), -ESTALE);
	CHECK_EQ(volley_held_release(server, held), -ESTALE);
	CHECK_EQ(get_stats(server).held_expired, atomic_load(&n_held));
	CHECK_EQ(get_stats(server).held_now, 0);
	CHECK_EQ(get_stats(server).tx_requested, 0);
}

/* A turn of a loop of our own: it sleeps no longer than it is told to. */
static void turn(void)
{
	struct pollfd pollfd = { .fd = volley_server_get_fd(server), .events = POLLIN };
	int64_t ns = volley_server_get_timeout_ns(server);

	poll(&pollfd, 1, ns < 0 ? -1 : (int)(ns / 1000000 + 1));
	CHECK(volley_server_process(server) >= 0);
}

/* Nobody asks for the token: the worker ends it by itself, though it slept when it was held. */
static void check_handler(uint32_t wait)
{
	double begin_ms;

	atomic_store(&n_held, 0);
	REQUIRE(volley_server_new(make_config(wait, 1), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_packet = hold_and_stay), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	send_one();
	if (wait == VOLLEY_WAIT_FD)
		turn();
	begin_ms = bounds_now_ms();
	while (get_stats(server).held_expired == 0)
		if (wait == VOLLEY_WAIT_FD)
			turn();
		else
			sched_yield();
	BOUNDS_CHECK(begin_ms, HOLD_MS);
	sem_wait(&entered);
	check_stale();
	sem_post(&go);
	CHECK_EQ(volley_server_stop(server), 0);
	volley_server_free(server);
}

/* The worker is in the callback, so nobody but who asks can end it; nor is its place lost. */
static void check_worker(void)
{
	double begin_ms;

	atomic_store(&n_held, 0);
	REQUIRE(volley_server_new(make_config(VOLLEY_WAIT_EVENT, 0), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_packet = hold_and_stay), NULL) == 0);
	for (int i = 0; i < 2; i++)
		send_one();
	REQUIRE(volley_server_start(server) == 0);
	for (int i = 0; i < 2; i++) {
		sem_wait(&entered);
		begin_ms = bounds_now_ms();
		while (bounds_now_ms() - begin_ms < HOLD_MS + 1) /* its time is what is tested */
			sched_yield();
		if (i == 1) /* in the first round, the second hold is who asks */
			check_stale();
		sem_post(&go);
	}
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK_EQ(get_stats(server).held_refused, 0);
	volley_server_free(server);
}

int main(void)
{
	promise_begin(5);
	sem_init(&entered, 0, 0);
	sem_init(&go, 0, 0);
	check_worker();
	check_handler(VOLLEY_WAIT_SPIN);
	check_handler(VOLLEY_WAIT_EVENT);
	check_handler(VOLLEY_WAIT_FD);
	return check_done();
}
