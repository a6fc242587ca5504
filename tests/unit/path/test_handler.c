/* SPDX-License-Identifier: MIT */

/*
 * One handler thread: what callbacks can do there, and how their replies leave. Moments are made by
 * a gate in the callback. Order and races are tests/race/race_handlers.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include <volley/send.h>

#include "crew.h"
#include "lib/listeners.h"
#include "path/handler.h"

TestSuite(handler, .timeout = 60);

Test(handler, echo_in_place_from_another_thread)
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

Test(handler, replies_of_every_kind_leave_in_order)
{
	struct volley_server *server;
	int fd = loopback_open(ADDRESS, NULL);
	struct volley_addr to;
	uint8_t buf[512];

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), &server), 0);
	cr_assert_eq(volley_server_listen(server, ADDRESS,
					  VOLLEY_LISTEN(.on_batch = reply_variously,
							.flags = VOLLEY_LISTEN_WANT_TTL),
					  NULL),
		     0);
	to = listener_addr(server, 0);
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

Test(handler, rooms_are_bounded_and_come_back)
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

Test(handler, own_buffers_are_bounded_and_come_back)
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

/* What is wrong with a send is counted, although only the worker counts. */
static void send_badly(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		       void *arg)
{
	static const uint8_t big[65528];
	struct volley_addr odd = loopback_addr("[::1]:5");
	const struct volley_addr *peer = packets[0].peer;

	(void)n, (void)arg;
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 9),
					peer, "x", 1, NULL),
		     -ESTALE);
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					&odd, "x", 1, NULL),
		     -EINVAL);
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					packets[0].local, "x", 1, NULL),
		     -EINVAL);
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					peer, big, sizeof big, NULL),
		     -EMSGSIZE);
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					peer, NULL, 0, NULL),
		     0);
	volley_packet_reply(&packets[0], "yes", 3);
}

Test(handler, what_it_sends_leaves_with_its_replies_or_has_a_name)
{
	struct volley_addr to;
	struct volley_server *server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1),
					     send_badly, &to);
	int fd = loopback_open(ADDRESS, NULL);
	struct volley_stats stats;
	uint8_t buf[8];

	loopback_send(fd, &to, 1, 8);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 3);
	cr_assert_eq(volley_server_stop(server), 0);
	stats = get_stats(server);
	cr_assert_eq(stats.tx_requested, 4);
	cr_assert_eq(stats.tx_sent, 2);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_REFUSED], 1);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_EMSGSIZE], 1);
	finish(server);
}

/* By a listener that goes meanwhile: nothing keeps its socket for a send. */
static void send_by_another(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	(void)n, (void)arg;
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 1),
					packets[0].peer, "x", 1, NULL),
		     0);
	sem_post(&gate.entered);
	sem_wait(&gate.go);
}

Test(handler, what_it_sends_by_a_listener_that_is_gone_is_counted)
{
	struct volley_addr to;
	struct volley_server *server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1),
					     send_by_another, &to);
	int fd = loopback_open(ADDRESS, NULL);

	open_gate();
	cr_assert_eq(
		volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		0);
	loopback_send(fd, &to, 1, 8);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 1)), 0);
	cr_assert_eq(
		volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		0, "another one has its place");
	sem_post(&gate.go);
	cr_assert_eq(volley_server_drain(server), 0);
	cr_assert_eq(get_stats(server).tx_dropped[VOLLEY_TX_STOPPED], 1);
	finish(server);
}

Test(handler, a_handler_holds_and_others_reply_and_send)
{
	struct volley_server *server;
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];

	open_gate();
	server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 2), hold_one, &to);
	loopback_send(fd, &to, 5, 9);
	sem_wait(&gate.entered);
	cr_assert_eq(volley_held_get_payload(server, held, buf, sizeof buf), 9);
	cr_assert_eq(buf[0], 5);
	cr_assert_eq(volley_held_reply(server, held, "late", 4), 0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 4);
	finish(server);
}

/* Two listeners of one server; each packet must come with its own. */
static void check_listener(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	struct volley_server *server = volley_worker_get_server(worker);

	for (size_t i = 0; i < n; i++)
		if (packets[i].listener.id != listener_at(server, (uint32_t)(uintptr_t)arg).id ||
		    packets[i].data[0] != (uint8_t)(uintptr_t)arg)
			atomic_fetch_add(&gate.r, 1);
	peer_echo(worker, packets, n, arg);
}

Test(handler, a_volley_for_the_callback_is_of_one_listener)
{
	struct volley_server *server;
	int fd = loopback_open(ADDRESS, NULL);
	struct volley_addr to[2];
	uint8_t buf[16];

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), &server), 0);
	for (uintptr_t i = 0; i < 2; i++) {
		cr_assert_eq(volley_server_listen(
				     server, ADDRESS,
				     VOLLEY_LISTEN(.on_batch = check_listener, .arg = (void *)i),
				     NULL),
			     0);
		to[i] = listener_addr(server, (uint32_t)i);
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

Test(handler, in_a_loop_of_the_callers)
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
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, "x", 1, NULL), -EINVAL,
		     "to itself");
	finish(server);
}

Test(handler, held_packets_in_a_loop_of_the_callers)
{
	struct volley_addr to;
	struct volley_server *server;
	int fd = loopback_open(ADDRESS, NULL);
	uint8_t buf[16];

	open_gate();
	server = serve(VOLLEY_CONFIG(.hold_us = 60000000, .wait = VOLLEY_WAIT_FD), hold_one, &to);
	cr_assert_eq(volley_server_get_timeout_ns(server), -1);
	loopback_send(fd, &to, 1, 8);
	turn(server);
	cr_assert_eq(volley_held_reply(server, held, "yes", 3), 0);
	turn(server); /* another thread's doing would have woken us too */
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 3);
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
}

Test(handler, held_packets_expire_in_a_loop_of_the_callers)
{
	struct volley_addr to;
	struct volley_server *server;
	int fd = loopback_open(ADDRESS, NULL);

	open_gate();
	server = serve(VOLLEY_CONFIG(.hold_us = 5000, .wait = VOLLEY_WAIT_FD), hold_one, &to);
	loopback_send(fd, &to, 1, 8);
	turn(server);
	while (get_stats(server).held_expired == 0) {
		struct pollfd wait = { .fd = volley_server_get_fd(server), .events = POLLIN };
		int64_t ns = volley_server_get_timeout_ns(server);

		cr_assert_geq(ns, 0, "nobody says when the time is over");
		poll(&wait, 1, (int)(ns / 1000000 + 1));
		cr_assert_geq(volley_server_process(server), 0);
	}
	cr_assert_eq(volley_held_release(server, held), -ESTALE);
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
}
