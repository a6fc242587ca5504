/* SPDX-License-Identifier: MIT */

/*
 * Handler threads: what callbacks can do there, what becomes of packets that they are too slow for,
 * and what a stop or a drain makes of those that are under way. Moments are made by a gate in the
 * callback; nothing sleeps to synchronise. Order and races are tests/race/race_handlers.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <volley/mmsg.h>
#include <volley/send.h>

#include "lib/fault.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/handler.h"
#include "path/worker.h"
#include "server/state.h"
#include "sys/clock.h"

#define ADDRESS "127.0.0.1:0"

TestSuite(handlers, .timeout = 60);

static struct {
	sem_t entered;
	sem_t go;
	int pipe[2];
	atomic_uint n_calls;
	atomic_long r;
	struct volley_held held;
} gate;

static void open_gate(void)
{
	sem_init(&gate.entered, 0, 0);
	sem_init(&gate.go, 0, 0);
	cr_assert_eq(pipe(gate.pipe), 0);
}

/* The first call waits at the gate; all echo. */
static void wait_at_gate(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			 void *arg)
{
	if (atomic_fetch_add(&gate.n_calls, 1) == 0) {
		sem_post(&gate.entered);
		sem_wait(&gate.go);
	}
	peer_echo(worker, packets, n, arg);
}

static struct volley_server *serve(const struct volley_config *config, volley_batch_fn fn,
				   struct volley_addr *ret_to)
{
	struct volley_server *server = peer_server(config, fn, NULL, ret_to);

	cr_assert_eq(volley_server_start(server), 0);
	return server;
}

static struct volley_stats get_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_null(ledger_find_fault(&stats), "%s", ledger_find_fault(&stats));
	return stats;
}

static void await_rx(struct volley_server *server, uint64_t n)
{
	while (get_stats(server).rx_datagrams < n)
		sched_yield();
}

static void finish(struct volley_server *server)
{
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(get_stats(server).rx_queued, 0);
	for (uint32_t i = 0; i < volley_server_get_n_workers(server); i++) {
		cr_assert_eq(vly_buffers_count_used(server->workers[i].crew.packets), 0,
			     "one leaked");
		cr_assert_eq(vly_buffers_count_used(server->workers[i].remote.buffers), 0);
	}
	cr_assert_eq(volley_server_free(server), 0);
}

/* Replying ------------------------------------------------------------------------------------ */

Test(handlers, echo_in_place_from_another_thread)
{
	static const uint32_t waits[] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_SPIN };
	int fd = loopback_open(ADDRESS, NULL);

	for (size_t i = 0; i < 2; i++) {
		struct volley_addr to;
		struct volley_server *server = serve(
			VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 3, .wait = waits[i]), peer_echo,
			&to);

		for (uint8_t k = 0; k < 100; k++)
			cr_assert_eq(peer_ask(fd, &to, k), 1);
		while (get_stats(server).delivered < 100) /* counted after the reply has left */
			sched_yield();
		finish(server);
	}
}

static void reply_variously(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++) {
		struct volley_packet *packet = &packets[i];
		size_t room_bytes = 0;
		char *room = volley_packet_reply_buffer(packet, 300, &room_bytes);
		char *unused = volley_packet_reply_buffer(packet, 10, NULL);

		cr_assert_not_null(room);
		cr_assert_not_null(unused);
		cr_assert_geq(room_bytes, 300);
		cr_assert_null(volley_packet_reply_buffer(packet, 0, NULL));
		memset(room, '3', 300);
		cr_assert_eq(volley_packet_reply(packet, "1", 1), 0);          /* a copy */
		cr_assert_eq(volley_packet_reply(packet, packet->data, 2), 0); /* a copy too */
		cr_assert_eq(volley_packet_reply(packet, room, 300), 0);
		cr_assert_eq(volley_packet_reply(packet, NULL, 0), 0);
		cr_assert_eq(volley_packet_reply(packet, room, 65528), -EMSGSIZE);
		cr_assert_eq(volley_packet_get_ttl(packet), 64);
		cr_assert_eq(volley_packet_get_handler(packet), 0);
		cr_assert_eq(packet->capacity, 256);
	}
}

Test(handlers, replies_of_every_kind_leave_in_order)
{
	struct volley_server *server;
	int fd = loopback_open(ADDRESS, NULL);
	struct volley_addr to;
	uint8_t buf[512];

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), &server), 0);
	cr_assert_eq(volley_server_listen(server, ADDRESS,
					  VOLLEY_LISTEN(.on_batch = reply_variously,
							.flags = VOLLEY_LISTEN_WANT_TTL)),
		     0);
	to = *volley_listener_get_addr(volley_server_get_listener(server, 0));
	cr_assert_eq(volley_server_start(server), 0);
	for (uint8_t i = 0; i < 50; i++) {
		loopback_send(fd, &to, i, 20);
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1);
		cr_assert_eq(buf[0], '1');
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 2);
		cr_assert_eq(buf[0], i);
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 300);
		cr_assert_eq(buf[299], '3');
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 0);
	}
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(get_stats(server).tx_dropped[VOLLEY_TX_EMSGSIZE], 50);
	cr_assert_eq(get_stats(server).tx_sent, 200);
	finish(server);
}

/* All large rooms, which nobody uses, and then every other buffer for a copy. */
static void reply_much(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		       void *arg)
{
	long n_rooms = 0;
	long n_copies = 0;

	(void)worker, (void)n, (void)arg;
	while (volley_packet_reply_buffer(&packets[0], 60000, NULL) != NULL)
		n_rooms++;
	while (volley_packet_reply(&packets[0], "x", 1) == 0)
		n_copies++;
	atomic_store(&gate.r, n_rooms * 1000 + n_copies);
}

/* Every small room there may be at a time. */
static void take_rooms(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		       void *arg)
{
	long n_rooms = 0;

	(void)worker, (void)n, (void)arg;
	while (volley_packet_reply_buffer(&packets[0], 1, NULL) != NULL)
		n_rooms++;
	atomic_store(&gate.r, n_rooms);
}

Test(handlers, rooms_are_bounded_and_come_back)
{
	struct volley_addr to;
	struct volley_server *server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1),
					     take_rooms, &to);
	int fd = loopback_open(ADDRESS, NULL);

	for (uint64_t round = 1; round <= 40; round++) { /* 40 times 64 is more than there are */
		loopback_send(fd, &to, 1, 8);
		while (get_stats(server).delivered < round)
			sched_yield();
		cr_assert_eq(atomic_load(&gate.r), VLY_HANDLER_N_ROOMS);
	}
	finish(server);
}

Test(handlers, own_buffers_are_bounded_and_come_back)
{
	struct volley_addr to;
	struct volley_server *server = serve(
		VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .n_ring = 8), reply_much, &to);
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[8];

	for (uint64_t round = 1; round <= 5; round++) {
		loopback_send(fd, &to, 1, 8);
		while (get_stats(server).delivered < round) /* counted when all buffers are back */
			sched_yield();
		cr_assert_eq(atomic_load(&gate.r), 8 * 1000 + 16);
		for (long i = 0; i < 16; i++)
			cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1);
		cr_assert_eq(get_stats(server).tx_dropped[VOLLEY_TX_NO_BUFFER], round);
	}
	finish(server);
}

static void hold_one(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_hold(&packets[0], &gate.held), 0);
	sem_post(&gate.entered);
}

Test(handlers, a_handler_holds_and_others_reply_and_send)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 2), hold_one, &to);
	loopback_send(fd, &to, 5, 9);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_held_get_payload(server, gate.held, buf, sizeof buf), 9);
	cr_assert_eq(buf[0], 5);
	cr_assert_eq(volley_held_reply(server, gate.held, "late", 4), 0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 4);
	finish(server);
}

/* Two listeners of one server; each packet must come with its own. */
static void check_listener(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	for (size_t i = 0; i < n; i++)
		if (volley_listener_get_index(packets[i].listener) != (uint32_t)(uintptr_t)arg ||
		    packets[i].data[0] != (uint8_t)(uintptr_t)arg)
			atomic_fetch_add(&gate.r, 1);
	peer_echo(worker, packets, n, arg);
}

Test(handlers, a_volley_for_the_callback_is_of_one_listener)
{
	struct volley_server *server;
	int fd = loopback_open(ADDRESS, NULL);
	struct volley_addr to[2];
	uint8_t buf[16];

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), &server), 0);
	for (uintptr_t i = 0; i < 2; i++) {
		cr_assert_eq(volley_server_listen(
				     server, ADDRESS,
				     VOLLEY_LISTEN(.on_batch = check_listener, .arg = (void *)i)),
			     (int)i);
		to[i] = *volley_listener_get_addr(volley_server_get_listener(server, (uint32_t)i));
	}
	for (int i = 0; i < 100; i++)
		loopback_send(fd, &to[i % 2], (uint8_t)(i % 2), 8);
	cr_assert_eq(volley_server_start(server), 0);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
	cr_assert_eq(atomic_load(&gate.r), 0);
	finish(server);
}

/* Of a server without a worker's thread: its descriptor is readable for all that handlers do. */
static void turn(struct volley_server *server)
{
	struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };

	cr_assert_eq(poll(&fd, 1, 10000), 1, "nothing woke the loop");
	cr_assert_geq(volley_server_process(server), 0);
}

Test(handlers, in_a_loop_of_the_callers)
{
	struct volley_addr to;
	struct volley_server *server = serve(VOLLEY_CONFIG(.n_handlers = 2, .wait = VOLLEY_WAIT_FD),
					     peer_echo, &to);
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];

	for (uint8_t i = 0; i < 50; i++) {
		loopback_send(fd, &to, i, 8);
		while (get_stats(server).tx_sent < i + 1u)
			turn(server);
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
		cr_assert_eq(buf[0], i);
	}
	cr_assert_eq(volley_server_send(server, 0, &to, NULL, "x", 1), -EINVAL, "to itself");
	finish(server);
}

Test(handlers, held_packets_in_a_loop_of_the_callers)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];

	open_gate();
	server = serve(VOLLEY_CONFIG(.hold_us = 5000, .wait = VOLLEY_WAIT_FD), hold_one, &to);
	cr_assert_eq(volley_server_get_timeout_ns(server), -1);
	loopback_send(fd, &to, 1, 8);
	turn(server);
	cr_assert_eq(volley_held_reply(server, gate.held, "yes", 3), 0);
	turn(server); /* another thread's doing would have woken us too */
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 3);
	loopback_send(fd, &to, 2, 8);
	turn(server);
	cr_assert_gt(volley_server_get_timeout_ns(server), 0);
	while (get_stats(server).held_expired == 0) {
		struct pollfd wait = { .fd = volley_server_get_fd(server), .events = POLLIN };
		int64_t ns = volley_server_get_timeout_ns(server);

		cr_assert_geq(ns, 0, "nobody says when the time is over");
		poll(&wait, 1, (int)(ns / 1000000 + 1));
		cr_assert_geq(volley_server_process(server), 0);
	}
	cr_assert_eq(volley_held_release(server, gate.held), -ESTALE);
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
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
	atomic_store(&gate.r, volley_listener_close(server, 0));
	return NULL;
}

static void *call_stop(void *server)
{
	return (void *)(intptr_t)volley_server_stop(server);
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
	cr_assert_eq(volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_packet = wait_each)),
		     0);
	to = *volley_listener_get_addr(volley_server_get_listener(server, 0));
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

static void *call_drain(void *server)
{
	return (void *)(intptr_t)volley_server_drain(server);
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
	cr_assert_eq(volley_held_reply(server, gate.held, "x", 1), -ESTALE);
	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 0, 8);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_held_release(server, gate.held), 0);
	cr_assert_eq(volley_server_drain(server), 0);
	finish(server);
}

Test(handlers, a_drain_that_is_late_stops_a_blocked_callback)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);

	open_gate();
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
	cr_assert_eq(volley_listener_close(server, 0), -ETIME, "somebody held a packet too long");
	cr_assert_eq(volley_held_reply(server, gate.held, "x", 1), -ESTALE);
	cr_assert_eq(get_stats(server).held_abandoned, 1);
	/* A listener that gets the same index has nothing to do with it. */
	cr_assert_eq(volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo)),
		     0);
	to = *volley_listener_get_addr(volley_server_get_listener(server, 0));
	loopback_send(fd, &to, 7, 8);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
	cr_assert_eq(volley_listener_close(server, 0), 0);
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
