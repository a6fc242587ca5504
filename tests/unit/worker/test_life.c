/* SPDX-License-Identifier: MIT */

/*
 * What happens to datagrams and replies when a server drains or stops in the middle. The moments
 * are made by callbacks that wait at a gate, and by the server's command that the test reads;
 * nothing sleeps to synchronise.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include <volley/mmsg.h>

#include "lib/fake_io.h"
#include "lib/gate.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/worker.h"
#include "server/state.h"
#include "sys/clock.h"

TestSuite(life, .timeout = 60);

static uint64_t slow_ns; /* of be_slow() */

static void wait_command(struct volley_server *server, enum vly_command command)
{
	while (atomic_load(&server->shared.command) != (uint32_t)command)
		sched_yield();
}

/* Call fn in a thread, open the gate once it has given its command, and return its result. */
static int meanwhile(void *(*fn)(void *), struct volley_server *server, enum vly_command command)
{
	pthread_t thread;
	void *r;

	cr_assert_eq(pthread_create(&thread, NULL, fn, server), 0);
	wait_command(server, command);
	sem_post(&gate.go);
	pthread_join(thread, &r);
	return (int)(intptr_t)r;
}

static struct volley_stats get_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert_null(ledger_find_server_fault(server));
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	return stats;
}

/* Draining ------------------------------------------------------------------------------------- */

static void drain_in_the_middle(const struct peer_way *way)
{
	struct volley_addr to;
	struct volley_server *server;
	struct volley_stats stats;
	int fd = loopback_open("127.0.0.1:0", NULL);
	uint8_t buf[16];

	open_gate();
	server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .n_batch = 8, .wait = way->wait, .io = way->io),
		wait_at_gate, NULL, &to);
	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 0, 16);
	sem_wait(&gate.entered);
	for (int i = 1; i <= 100; i++)
		loopback_send(fd, &to, (uint8_t)i, 16);
	{
		pthread_t thread;
		void *r;

		cr_assert_eq(pthread_create(&thread, NULL, call_drain, server), 0);
		wait_command(server, VLY_COMMAND_DRAIN);
		loopback_send(fd, &to, 200, 16); /* too late: the kernel refuses it */
		sem_post(&gate.go);
		pthread_join(thread, &r);
		cr_assert_eq((int)(intptr_t)r, 0);
	}
	stats = get_stats(server);
	cr_assert_eq(stats.delivered, 101);
	cr_assert_eq(stats.tx_sent, 101);
	cr_assert_eq(stats.kernel_drops, 1);
	cr_assert_eq(stats.unread_bytes, 0);
	for (int i = 0; i <= 100; i++) {
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 16);
		cr_assert_eq(buf[0], i);
	}
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_eq(get_stats(server).discarded_at_close, 0);
	volley_server_free(server);
	close(fd);
}

Test(life, drain_serves_what_is_queued_and_refuses_the_rest)
{
	for (size_t i = 0; i < PEER_N_WAYS; i++)
		drain_in_the_middle(&peer_ways[i]);
}

static void be_slow(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		    void *arg)
{
	uint64_t end_ns = vly_clock_get_ns() + slow_ns;

	wait_at_gate(worker, packets, n, arg);
	while (vly_clock_get_ns() < end_ns)
		continue;
}

Test(life, a_drain_that_is_late_says_so_and_loses_nothing)
{
	struct volley_addr to;
	struct volley_server *server;
	struct volley_stats stats;
	int fd = loopback_open("127.0.0.1:0", NULL);

	open_gate();
	slow_ns = 3000000;
	server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .n_batch = 1, .n_budget = 1, .drain_us = 1000),
		be_slow, NULL, &to);
	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 0, 16);
	sem_wait(&gate.entered);
	for (int i = 1; i < 10; i++)
		loopback_send(fd, &to, (uint8_t)i, 16);
	cr_assert_eq(meanwhile(call_drain, server, VLY_COMMAND_DRAIN), -ETIME);
	stats = get_stats(server);
	cr_assert_geq(stats.delivered, 1);
	cr_assert_lt(stats.delivered, 10);
	cr_assert_gt(stats.unread_bytes, 0);
	cr_assert_eq(volley_server_drain(server), -ETIME, "nothing has changed");
	/* The next drain serves the rest. */
	slow_ns = 0;
	server->shared.config.drain_us = 10000000;
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_server_drain(server), 0);
	cr_assert_eq(get_stats(server).delivered, 10);
	volley_server_free(server);
	close(fd);
}

static void *call_run(void *server)
{
	return (void *)(intptr_t)volley_server_run(server);
}

Test(life, a_drain_by_run_that_is_late_says_so_too)
{
	struct volley_addr to;
	struct volley_server *server;
	pthread_t runner;
	void *r;
	int fd = loopback_open("127.0.0.1:0", NULL);

	open_gate();
	slow_ns = 3000000;
	server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .n_batch = 1, .n_budget = 1, .drain_us = 1000),
		be_slow, NULL, &to);
	cr_assert_eq(pthread_create(&runner, NULL, call_run, server), 0);
	loopback_send(fd, &to, 0, 16);
	sem_wait(&gate.entered);
	for (int i = 1; i < 10; i++)
		loopback_send(fd, &to, (uint8_t)i, 16);
	cr_assert_eq(meanwhile(call_drain, server, VLY_COMMAND_DRAIN), -ETIME);
	pthread_join(runner, &r);
	cr_assert_eq((int)(intptr_t)r, 0);
	cr_assert_gt(get_stats(server).unread_bytes, 0);
	volley_server_free(server);
	close(fd);
}

Test(life, stop_leaves_the_queue_to_close_to_count)
{
	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		struct volley_addr to;
		struct volley_server *server;
		struct volley_stats stats;
		int fd = loopback_open("127.0.0.1:0", NULL);

		open_gate();
		server = peer_server(VOLLEY_CONFIG(.n_workers = 1, .wait = peer_ways[i].wait,
						   .io = peer_ways[i].io),
				     wait_at_gate, NULL, &to);
		cr_assert_eq(volley_server_start(server), 0);
		loopback_send(fd, &to, 0, 16);
		sem_wait(&gate.entered);
		for (int k = 1; k <= 100; k++)
			loopback_send(fd, &to, (uint8_t)k, 16);
		cr_assert_eq(meanwhile(call_stop, server, VLY_COMMAND_STOP), 0);
		cr_assert_eq(volley_server_close(server), 0);
		stats = get_stats(server);
		cr_assert_eq(stats.rx_messages + stats.discarded_at_close, 101);
		cr_assert_gt(stats.discarded_at_close, 0);
		cr_assert_eq(volley_server_close(server), 0);
		cr_assert_eq(get_stats(server).discarded_at_close, stats.discarded_at_close);
		volley_server_free(server);
		close(fd);
	}
}

/* Replies that cannot leave -------------------------------------------------------------------- */

static void wait_queued(struct volley_server *server, uint64_t n)
{
	struct volley_stats stats = { .size = sizeof stats };

	do {
		sched_yield();
		volley_server_get_stats(server, &stats);
	} while (stats.tx_queued != n);
}

static struct fake_server open_spinning(uint32_t n_batch, uint32_t n_backlog, uint32_t backlog_us,
					volley_batch_fn fn)
{
	struct fake_server fake;

	open_gate();
	fake_server_open(&fake,
			 VOLLEY_CONFIG(.wait = VOLLEY_WAIT_SPIN, .n_batch = n_batch, .n_budget = 1,
				       .n_backlog = n_backlog, .backlog_us = backlog_us),
			 "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = fn));
	return fake;
}

Test(life, stop_waits_a_moment_for_full_sockets_and_drops_by_name)
{
	struct fake_server fake = open_spinning(64, 0, 60000000, peer_echo);
	uint64_t before;

	fake_io_recv_n(fake.io, 0, 5, 8);
	fake_io_send_always(fake.io, -EAGAIN);
	cr_assert_eq(volley_server_start(fake.server), 0);
	wait_queued(fake.server, 5);
	before = vly_clock_get_ns();
	cr_assert_eq(volley_server_stop(fake.server), 0);
	cr_assert_geq(vly_clock_get_ns() - before, 15000000);
	cr_assert_lt(vly_clock_get_ns() - before, UINT64_C(5000000000), "not backlog_us");
	cr_assert_eq(get_stats(fake.server).tx_dropped[VOLLEY_TX_STOPPED], 5);
	fake_server_close(&fake);
}

Test(life, a_drain_that_becomes_a_stop_does_not_wait_for_full_sockets)
{
	struct fake_server fake = open_spinning(64, 0, 60000000, peer_echo);
	uint64_t n_calls;
	pthread_t thread;

	fake_io_recv_n(fake.io, 0, 5, 8);
	fake_io_send_always(fake.io, -EAGAIN);
	cr_assert_eq(volley_server_start(fake.server), 0);
	wait_queued(fake.server, 5);
	cr_assert_eq(pthread_create(&thread, NULL, call_drain, fake.server), 0);
	wait_command(fake.server, VLY_COMMAND_DRAIN);
	/* Leaving the loop takes two tries at most; the others come when all else is done. */
	n_calls = get_stats(fake.server).tx_syscalls;
	while (get_stats(fake.server).tx_syscalls < n_calls + 5)
		sched_yield();
	cr_assert_eq(volley_server_request_stop(fake.server), 0);
	pthread_join(thread, NULL); /* within the test's time, which backlog_us is not */
	cr_assert_eq(get_stats(fake.server).tx_dropped[VOLLEY_TX_STOPPED], 5);
	fake_server_close(&fake);
}

Test(life, a_drain_sends_what_waits_before_it_asks_for_more)
{
	struct fake_server fake = open_spinning(4, 4, 60000000, wait_at_gate);
	struct volley_stats stats;

	fake_io_recv_n(fake.io, 0, 1, 8);
	fake_io_recv_end(fake.io, 0);
	fake_io_recv_n(fake.io, 0, 12, 8);
	fake_io_send_result(fake.io, 1);
	fake_io_send_result(fake.io, -EAGAIN);
	cr_assert_eq(volley_server_start(fake.server), 0);
	sem_wait(&gate.entered);
	cr_assert_eq(meanwhile(call_drain, fake.server, VLY_COMMAND_DRAIN), 0);
	stats = get_stats(fake.server);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_BACKLOG_FULL], 0);
	cr_assert_eq(stats.tx_sent, 13);
	fake_server_close(&fake);
}

/* Eight replies to one request, numbered. */
static void reply_eight(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	uint8_t reply[1400] = { 0 };

	(void)worker, (void)n, (void)arg;
	for (int i = 0; i < 8; i++) {
		reply[0] = (uint8_t)i;
		volley_packet_reply(&packets[0], reply, sizeof reply);
	}
}

Test(life, every_loop_serves_the_backlog_by_the_clock)
{
	for (uint32_t wait = VOLLEY_WAIT_EVENT; wait <= VOLLEY_WAIT_BLOCK; wait++) {
		struct fake_server fake;
		struct volley_stats stats;
		int fd = loopback_open("127.0.0.1:0", NULL);

		/* The fake one fails, the real socket beneath wakes the event loop. */
		fake_server_open(
			&fake, VOLLEY_CONFIG(.wait = wait, .backlog_us = 30000000), "127.0.0.1:0",
			VOLLEY_LISTEN(.on_batch = reply_eight, .flags = VOLLEY_LISTEN_NO_COALESCE));
		fake_io_recv_n(fake.io, 0, 1, 8);
		fake_io_send_result(fake.io, -ENOBUFS);
		fake_io_send_result(fake.io, -ENOBUFS);
		fake_io_send_result(fake.io, 3);
		fake_io_send_result(fake.io, -ENOBUFS);
		fake_io_send_always(fake.io, 1);
		loopback_send(fd, fake.addr, 1, 8);
		cr_assert_eq(volley_server_start(fake.server), 0);
		do {
			sched_yield();
			stats = get_stats(fake.server);
		} while (stats.tx_sent < 8);
		cr_assert_eq(volley_server_stop(fake.server), 0);
		for (uint32_t i = 0; i < 8; i++)
			cr_assert_eq(fake_io_sent(fake.io, i)->data[0], i);
		fake_server_close(&fake);
		close(fd);
	}
}

/* Users' own waits and events ------------------------------------------------------------------ */

static void read_for_ever(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	char byte;

	(void)worker, (void)packets, (void)n, (void)arg;
	sem_post(&gate.entered);
	gate.r = volley_read(gate.pipe[0], &byte, 1);
}

Test(life, a_stop_ends_a_cancellable_wait_in_a_callback)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	cr_assert_eq(pipe(gate.pipe), 0);
	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 1,
									 .wait = peer_ways[i].wait,
									 .io = peer_ways[i].io),
							   read_for_ever, NULL, &to);

		open_gate();
		gate.r = 0;
		cr_assert_eq(volley_server_start(server), 0);
		loopback_send(fd, &to, 1, 8);
		sem_wait(&gate.entered);
		cr_assert_eq(volley_server_stop(server), 0);
		cr_assert_eq(gate.r, -ECANCELED);
		volley_server_free(server);
	}
	close(fd);
}

static struct event *timer, *reader;

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)arg;
	if (what & EV_READ)
		cr_assert_eq(read(fd, &byte, 1), 1);
	sem_post(&gate.entered);
}

static int add_events(struct volley_worker *worker, void *arg)
{
	struct event_base *base = volley_worker_get_event_base(worker);
	struct timeval soon = { .tv_usec = 1000 };

	(void)arg;
	if (base == NULL)
		return -EINVAL;
	timer = evtimer_new(base, on_event, NULL);
	reader = event_new(base, gate.pipe[0], EV_READ | EV_PERSIST, on_event, NULL);
	event_add(timer, &soon);
	event_add(reader, NULL);
	return 0;
}

static void free_events(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	event_free(timer);
	event_free(reader);
}

Test(life, users_have_timers_and_descriptors_on_the_event_loop)
{
	for (uint32_t wait = VOLLEY_WAIT_EVENT; wait <= VOLLEY_WAIT_SPIN; wait++) {
		struct volley_addr to;
		struct volley_server *server = peer_server(
			VOLLEY_CONFIG(.n_workers = 1, .wait = wait, .on_start = add_events,
				      .on_stop = free_events),
			peer_echo, NULL, &to);

		open_gate();
		cr_assert_eq(pipe(gate.pipe), 0);
		if (wait != VOLLEY_WAIT_EVENT) {
			cr_assert_eq(volley_server_start(server), -EINVAL, "there is no base");
		} else {
			cr_assert_eq(volley_server_start(server), 0);
			sem_wait(&gate.entered);
			cr_assert_eq(write(gate.pipe[1], "x", 1), 1);
			sem_wait(&gate.entered);
		}
		volley_server_free(server);
		close(gate.pipe[0]);
		close(gate.pipe[1]);
	}
}
