/* SPDX-License-Identifier: MIT */

/*
 * The handlers of a worker: what becomes of packets that they are too slow for, and what a stop or
 * a drain makes of those that are under way. Moments are made by a gate in the callback; nothing
 * sleeps to synchronise. Order and races are tests/race/race_handlers.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include <volley/mmsg.h>
#include <volley/send.h>

#include "crew.h"
#include "lib/fault.h"
#include "lib/listeners.h"
#include "path/handler.h"
#include "path/handlers.h"
#include "sys/clock.h"

TestSuite(handlers, .timeout = 60);

/* A listener's close may have read them at the very end. */
Test(handlers, what_comes_when_they_were_told_to_leave_is_stopped)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);

	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .wait = VOLLEY_WAIT_FD),
		       peer_echo, &to);
	vly_handlers_drain(server->workers);
	loopback_send(fd, &to, 7, 8);
	cr_assert_eq(volley_server_process(server), 1);
	cr_assert_eq(get_stats(server).rx_dropped[VOLLEY_RX_STOPPED], 1);
	cr_assert_eq(get_stats(server).rx_queued, 0);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	finish(server);
	close(fd);
}

/* Too slow ------------------------------------------------------------------------------------- */

Test(handlers, a_full_ring_drops_the_newest_by_name)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .n_ring = 8), wait_at_gate,
		       &to);
	for (uint8_t i = 0; i < 20; i++)
		loopback_send(fd, &to, i, 8);
	await_rx(server, 20);
	cr_assert_eq(get_stats(server).rx_dropped[VOLLEY_RX_RING_FULL], 12);
	cr_assert_eq(get_stats(server).rx_queued, 8);
	sem_post(&gate.go);
	for (uint8_t i = 0; i < 8; i++) {
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
		cr_assert_eq(buf[0], i, "the oldest stay, in order");
	}
	finish(server);
}

Test(handlers, the_pool_of_large_packets_is_small)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), wait_at_gate, &to);
	for (uint8_t i = 0; i < 12; i++)
		loopback_send(fd, &to, i, 9000);
	await_rx(server, 12);
	cr_assert_eq(get_stats(server).rx_dropped[VOLLEY_RX_POOL_FULL], 4);
	sem_post(&gate.go);
	finish(server);
}

/* One packet into the gate. Returns how many were late for it, on a machine that is that slow. */
static uint64_t enter_gate(struct volley_server *server, int fd, const struct volley_addr *to)
{
	for (uint64_t n_late = 0;; n_late++) {
		loopback_send(fd, to, 0, 8);
		while (get_stats(server).rx_dropped[VOLLEY_RX_EXPIRED] == n_late)
			if (sem_trywait(&gate.entered) == 0)
				return n_late;
	}
}

Test(handlers, what_waited_too_long_is_expired)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];
	uint64_t end_ns;
	uint64_t n_late;

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .max_age_us = 20000),
		       wait_at_gate, &to);
	n_late = enter_gate(server, fd, &to);
	for (uint8_t i = 1; i < 6; i++)
		loopback_send(fd, &to, i, 8);
	await_rx(server, n_late + 6);
	end_ns = vly_clock_get_ns() + 25000000; /* their age is what is tested */
	while (vly_clock_get_ns() < end_ns)
		sched_yield();
	sem_post(&gate.go);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
	cr_assert_eq(buf[0], 0);
	while (get_stats(server).rx_queued > 0)
		sched_yield();
	cr_assert_eq(get_stats(server).rx_dropped[VOLLEY_RX_EXPIRED], n_late + 5);
	finish(server);
}

/* The end -------------------------------------------------------------------------------------- */

/* Blocks in a cancellation point of ours until the stop. */
static void wait_in_ppoll(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	struct pollfd fd = { .fd = gate.pipe[0], .events = POLLIN };

	(void)packets, (void)n, (void)arg;
	sem_post(&gate.entered);
	atomic_store(&gate.r, volley_ppoll(&fd, 1, NULL, NULL));
	/* Everything that asks for the end from here must not wait for it. */
	cr_assert_eq(volley_server_stop(volley_worker_get_server(worker)), -EDEADLK);
	cr_assert_eq(volley_server_free(volley_worker_get_server(worker)), -EDEADLK);
}

Test(handlers, a_stop_cancels_a_callback_that_blocks_and_counts_the_rest)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);

	open_gate();
	cr_assert_eq(pipe(gate.pipe), 0);
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), wait_in_ppoll, &to);
	loopback_send(fd, &to, 0, 8);
	sem_wait(&gate.entered);
	for (uint8_t i = 1; i < 6; i++)
		loopback_send(fd, &to, i, 8);
	await_rx(server, 6);
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(atomic_load(&gate.r), -ECANCELED);
	cr_assert_eq(get_stats(server).rx_dropped[VOLLEY_RX_STOPPED], 5);
	cr_assert_eq(get_stats(server).delivered, 1);
	finish(server);
}

static void wait_each(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	wait_at_gate(worker, packet, 1, arg);
}

static void *call_close(void *server)
{
	atomic_store(&gate.r, volley_listener_close(server, listener_at(server, 0)));
	return NULL;
}

Test(handlers, a_stop_ends_between_two_packets_of_the_scalar_callback)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	pthread_t thread;
	void *r;

	open_gate();
	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), &server), 0);
	cr_assert_eq(
		volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_packet = wait_each), NULL),
		0);
	to = listener_addr(server, 0);
	for (uint8_t i = 0; i < 6; i++)
		loopback_send(fd, &to, i, 8);
	cr_assert_eq(volley_server_start(server), 0);
	sem_wait(&gate.entered);
	await_rx(server, 6);
	cr_assert_eq(pthread_create(&thread, NULL, call_stop, server), 0);
	while (atomic_load(&server->workers[0].crew.handlers[0].command) != VLY_HANDLER_STOP)
		sched_yield();
	sem_post(&gate.go);
	pthread_join(thread, &r);
	cr_assert_null(r);
	cr_assert_eq(get_stats(server).delivered, 1);
	cr_assert_eq(get_stats(server).rx_dropped[VOLLEY_RX_STOPPED], 5);
	cr_assert_eq(get_stats(server).tx_sent, 1);
	finish(server);
}

static void wait_in_post(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	sem_post(&gate.entered);
	sem_wait(&gate.go);
}

/* The worker does not look until the drain has begun, and then finds all of it in its socket. */
Test(handlers, a_drain_serves_more_than_the_rings_hold)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	pthread_t thread;
	uint8_t buf[16];
	void *r;

	open_gate();
	server = serve(
		VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 2, .n_ring = 8, .drain_us = 30000000),
		peer_echo, &to);
	cr_assert_eq(volley_server_post(server, wait_in_post, NULL), 0);
	sem_wait(&gate.entered);
	for (int i = 0; i < 200; i++)
		loopback_send(fd, &to, (uint8_t)i, 8);
	cr_assert_eq(pthread_create(&thread, NULL, call_drain, server), 0);
	while (atomic_load(&server->shared.command) != VLY_COMMAND_DRAIN)
		sched_yield();
	sem_post(&gate.go);
	pthread_join(thread, &r);
	cr_assert_null(r);
	for (int i = 0; i < 200; i++) {
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
		cr_assert_eq(buf[0], i, "in order");
	}
	cr_assert_eq(get_stats(server).delivered, 200);
	finish(server);
}

Test(handlers, a_drain_waits_for_held_packets_but_not_for_ever)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .drain_us = 30000), hold_one,
		       &to);
	loopback_send(fd, &to, 0, 8);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_server_drain(server), -ETIME);
	cr_assert_eq(get_stats(server).held_abandoned, 1);
	cr_assert_eq(volley_held_reply(server, held, "x", 1), -ESTALE);
	server->shared.config.drain_us = 60000000; /* time enough for what is in order */
	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 0, 8);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_held_release(server, held), 0);
	cr_assert_eq(volley_server_drain(server), 0);
	finish(server);
}

Test(handlers, a_drain_that_is_late_stops_a_blocked_callback)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);

	open_gate();
	cr_assert_eq(pipe(gate.pipe), 0);
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .drain_us = 30000),
		       wait_in_ppoll, &to);
	loopback_send(fd, &to, 0, 8);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_server_drain(server), -ETIME);
	cr_assert_eq(atomic_load(&gate.r), -ECANCELED);
	finish(server);
}

Test(handlers, a_listener_that_goes_waits_for_its_packets_and_ends_their_holding)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .drain_us = 30000), hold_one,
		       &to);
	loopback_send(fd, &to, 0, 8);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), -ETIME,
		     "somebody held a packet too long");
	cr_assert_eq(volley_held_reply(server, held, "x", 1), -ESTALE);
	cr_assert_eq(get_stats(server).held_abandoned, 1);
	/* A listener that gets the same index has nothing to do with it. */
	server->shared.config.drain_us = 60000000;
	cr_assert_eq(
		volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		0);
	to = listener_addr(server, 0);
	loopback_send(fd, &to, 7, 8);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	cr_assert_eq(get_stats(server).delivered, 2);
	finish(server);
}

Test(handlers, a_listener_that_goes_does_not_wait_for_callbacks_that_have_not_begun)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	pthread_t thread;

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .drain_us = 1000),
		       wait_at_gate, &to);
	loopback_send(fd, &to, 0, 8);
	sem_wait(&gate.entered);
	for (uint8_t i = 1; i < 6; i++)
		loopback_send(fd, &to, i, 8);
	await_rx(server, 6);
	cr_assert_eq(pthread_create(&thread, NULL, call_close, server), 0);
	while (!atomic_load(&vly_socks_get(&server->workers[0].socks, 0)->is_given_up))
		sched_yield();
	sem_post(&gate.go);
	pthread_join(thread, NULL);
	cr_assert_eq(atomic_load(&gate.r), -ETIME);
	cr_assert_eq(get_stats(server).delivered, 1);
	cr_assert_eq(get_stats(server).rx_dropped[VOLLEY_RX_STOPPED], 5);
	finish(server);
}

/* Starting ------------------------------------------------------------------------------------- */

Test(handlers, block_has_no_place_to_wait_for_them)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .wait = VOLLEY_WAIT_BLOCK),
		peer_echo, NULL, &to);

	cr_assert_eq(volley_server_start(server), -EINVAL);
	cr_assert_eq(volley_server_free(server), 0);
}

Test(handlers, a_thread_that_cannot_start_fails_the_start_and_leaves_nothing)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 3),
						   peer_echo, NULL, &to);
	int fd = loopback_open(ADDRESS, NULL);
	int n_fds = loopback_n_fds();

	for (unsigned int n = 1; n <= 4; n++) {
		fault_arm(FAULT_PTHREAD_CREATE, n, EAGAIN);
		cr_assert_eq(volley_server_start(server), -EAGAIN, "thread %u", n);
		cr_assert_eq(fault_disarm(), 1);
		cr_assert_eq(loopback_n_fds(), n_fds);
	}
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(peer_ask(fd, &to, 1), 1);
	finish(server);
}

Test(handlers, start_and_stop_again_and_again)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2, .n_handlers = 2),
						   peer_echo, NULL, &to);
	int fd = loopback_open(ADDRESS, NULL);
	int n_fds = loopback_n_fds();

	for (uint8_t i = 0; i < 50; i++) {
		cr_assert_eq(volley_server_start(server), 0);
		cr_assert_eq(peer_ask(fd, &to, i), 1);
		cr_assert_eq(i % 2 ? volley_server_stop(server) : volley_server_drain(server), 0);
		cr_assert_eq(loopback_n_fds(), n_fds);
	}
	finish(server);
}
