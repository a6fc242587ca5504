/* SPDX-License-Identifier: MIT */

/*
 * A drain in which one listener is the last (VOLLEY_LISTEN_DRAIN_LAST): it is served as before
 * until no packet is held and no handler has one, and nothing else is.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "lib/gate.h"
#include "lib/ledger.h"
#include "lib/lifetime.h"
#include "lib/ways.h"
#include "path/listener.h"
#include "server/listeners.h"
#include "sys/clock.h"
#include "worker/goodbye.h"

TestSuite(ending, .init = count_fds, .fini = compare_fds, .timeout = 60);

enum { N_WORKERS = 4, N_PORTS = 32, LONG_US = 50000000, SHORT_US = 60000 };

static const uint64_t SECOND_NS = 1000000000;

static struct {
	struct volley_server *server;
	struct volley_listener first;
	struct volley_listener last;
	struct volley_addr to_first; /* where `block` has its only listener, the same */
	struct volley_addr to_last;
	struct event_base *base;
	int client;
	struct volley_held held;
	sem_t is_held;
	atomic_uint n_taken; /* by callbacks of the first listener */
	pthread_t drainer;
} t;

/* What a datagram wants is its first byte. Everything else is echoed. */
enum { HOLD = 'h', REPLY = 'r', WAIT = 'w' };

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	uint8_t what = packet->data[0];

	(void)arg;
	if (packet->listener.id == t.first.id)
		atomic_fetch_add(&t.n_taken, 1);
	if (what == HOLD) {
		cr_assert_eq(volley_packet_hold(packet, &t.held), 0);
		sem_post(&t.is_held);
	} else if (what == REPLY) {
		volley_held_reply(volley_worker_get_server(worker), t.held, "reply", 5);
	} else if (what == WAIT) {
		sem_post(&gate.entered);
		sem_wait(&gate.go);
	} else {
		volley_packet_reply(packet, packet->data, packet->len);
	}
}

static struct volley_config get_config(size_t way)
{
	struct volley_config config = { .size = sizeof config,
					.n_workers = N_WORKERS,
					.hold_us = LONG_US,
					.drain_us = LONG_US };

	set_way(&config, way, &t.base);
	return config;
}

static void open_server(struct volley_config config)
{
	bool is_alone = config.wait == VOLLEY_WAIT_BLOCK;
	struct volley_listen_config last = *VOLLEY_LISTEN(.on_packet = on_packet,
							  .flags = VOLLEY_LISTEN_DRAIN_LAST);

	open_gate();
	sem_init(&t.is_held, 0, 0);
	atomic_store(&t.n_taken, 0);
	t.client = loopback_open("127.0.0.1:0", NULL);
	t.first.id = 0;
	cr_assert_eq(volley_server_new(&config, &t.server), 0);
	cr_assert_eq(volley_server_listen(t.server, "127.0.0.1:0", &last, &t.last), 0);
	cr_assert_eq(volley_listener_get_addr(t.server, t.last, &t.to_last), 0);
	t.to_first = t.to_last;
	if (!is_alone) {
		cr_assert_eq(volley_server_listen(t.server, "127.0.0.1:0",
						  VOLLEY_LISTEN(.on_packet = on_packet), &t.first),
			     0);
		cr_assert_eq(volley_listener_get_addr(t.server, t.first, &t.to_first), 0);
	}
	cr_assert_eq(volley_server_start(t.server), 0);
}

static void close_server(void)
{
	cr_assert_null(ledger_find_server_fault(t.server));
	cr_assert_eq(volley_server_free(t.server), 0);
	if (t.base != NULL)
		event_base_free(t.base);
	t.base = NULL;
	close(t.client);
}

static struct volley_stats get_stats(void)
{
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert_eq(volley_server_get_stats(t.server, &stats), 0);
	return stats;
}

/* The server's own thread is its caller's where the loop is. */
static void serve_own(void)
{
	if (volley_server_get_fd(t.server) >= 0)
		volley_server_process(t.server);
	else if (t.base != NULL)
		event_base_loop(t.base, EVLOOP_NONBLOCK);
}

static void hold_one(void)
{
	loopback_send(t.client, &t.to_first, HOLD, 5);
	while (sem_trywait(&t.is_held) < 0)
		serve_own();
}

static void begin_drain(void)
{
	pthread_create(&t.drainer, NULL, call_drain, t.server);
	while (vly_shared_get_command(&t.server->shared) == VLY_COMMAND_RUN)
		sched_yield();
}

static int join_drain(void)
{
	void *r;

	pthread_join(t.drainer, &r);
	return (int)(intptr_t)r;
}

/* Until the first listener takes nothing any more, by the kernel's own count. */
static void await_refusal(void)
{
	while (t.first.id != 0 && get_stats().kernel_drops == 0) {
		loopback_send(t.client, &t.to_first, 'x', 5);
		sched_yield();
	}
}

/* Each worker's socket of the last listener, most likely: they are chosen by the sender's port. */
static void expect_service(void)
{
	for (int i = 0; i < N_PORTS; i++) {
		int fd = loopback_open("127.0.0.1:0", NULL);

		cr_assert(peer_ask(fd, &t.to_last, 3));
		close(fd);
	}
}

static void expect_reply(void)
{
	uint8_t text[64];
	int n;

	do /* behind what was asked while it was still taken */
		n = loopback_recv(t.client, text, sizeof text, NULL);
	while (n == 5 && text[0] == 'x');
	cr_assert_eq(n, 5);
	cr_assert_eq(text[0], 'r');
}

Test(ending, what_replies_is_heard_until_nothing_is_held)
{
	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		uint64_t begin_ns = vly_clock_get_ns();
		struct volley_stats stats;

		open_server(get_config(way));
		hold_one();
		begin_drain();
		await_refusal();
		expect_service();
		loopback_send(t.client, &t.to_last, REPLY, 5);
		cr_assert_eq(join_drain(), 0, "way %zu", way);
		expect_reply();
		cr_assert_lt(vly_clock_get_ns() - begin_ns, 20 * SECOND_NS);
		stats = get_stats();
		cr_assert_eq(stats.held_replied, 1);
		cr_assert_eq(stats.held_abandoned, 0);
		loopback_send(t.client, &t.to_last, 'x', 5);
		cr_assert_eq(get_stats().kernel_drops, stats.kernel_drops + 1, "it is refused too");
		/* A later start serves all of them again. */
		cr_assert_eq(volley_server_start(t.server), 0);
		begin_drain();
		cr_assert_eq(join_drain(), 0);
		close_server();
	}
}

Test(ending, a_server_that_holds_nothing_does_not_wait)
{
	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		for (int i = 0; i < 2; i++) { /* one listener, and two */
			uint64_t begin_ns;

			open_server(get_config(way));
			if (i == 0)
				cr_assert_eq(volley_listener_close(t.server, t.first),
					     t.first.id == 0 ? -ESTALE : 0);
			begin_ns = vly_clock_get_ns();
			cr_assert_eq(volley_server_drain(t.server), 0, "way %zu", way);
			cr_assert_lt(vly_clock_get_ns() - begin_ns, SECOND_NS, "way %zu", way);
			close_server();
		}
	}
}

Test(ending, it_ends_by_the_clock)
{
	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		struct volley_config config = get_config(way);
		uint64_t took_ns;

		config.drain_us = SHORT_US;
		open_server(config);
		hold_one();
		took_ns = vly_clock_get_ns();
		cr_assert_eq(volley_server_drain(t.server), -ETIME, "way %zu", way);
		took_ns = vly_clock_get_ns() - took_ns;
		cr_assert_geq(took_ns, SHORT_US * UINT64_C(1000));
		cr_assert_lt(took_ns, SECOND_NS);
		cr_assert_eq(get_stats().held_abandoned, 1);
		close_server();
	}
}

Test(ending, a_stop_ends_it)
{
	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		uint64_t begin_ns = vly_clock_get_ns();

		open_server(get_config(way));
		hold_one();
		begin_drain();
		await_refusal();
		cr_assert_eq(volley_server_stop(t.server), 0);
		cr_assert_eq(join_drain(), -ETIME, "way %zu", way);
		cr_assert_lt(vly_clock_get_ns() - begin_ns, 20 * SECOND_NS);
		cr_assert_eq(get_stats().held_abandoned, 1);
		close_server();
	}
}

/* Under run ------------------------------------------------------------------------------------ */

static void *call_run(void *server)
{
	return (void *)(intptr_t)volley_server_run(server);
}

static pthread_t begin_run(void)
{
	pthread_t runner;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &mask, NULL); /* run reads it */
	open_server(get_config(0));
	pthread_create(&runner, NULL, call_run, t.server);
	hold_one();
	while (atomic_load(&t.server->run_thread) == 0)
		sched_yield();
	kill(getpid(), SIGTERM);
	await_refusal();
	expect_service();
	return runner;
}

static void expect_end(pthread_t runner, uint64_t n_replied)
{
	void *r;

	pthread_join(runner, &r);
	cr_assert_eq((intptr_t)r, 0);
	cr_assert_eq(get_stats().held_replied, n_replied);
	cr_assert_eq(get_stats().held_abandoned, 1 - n_replied);
	close_server();
}

Test(ending, run_serves_the_last_too)
{
	pthread_t runner = begin_run();

	loopback_send(t.client, &t.to_last, REPLY, 5);
	expect_reply();
	expect_end(runner, 1);
}

Test(ending, a_second_signal_ends_it)
{
	pthread_t runner = begin_run();

	kill(getpid(), SIGTERM);
	expect_end(runner, 0);
}

Test(ending, asking_again_changes_nothing)
{
	pthread_t runner = begin_run();

	cr_assert_eq(volley_server_request_stop(t.server), 0);
	begin_drain();
	expect_service();
	loopback_send(t.client, &t.to_last, REPLY, 5);
	cr_assert_eq(join_drain(), 0);
	expect_end(runner, 1);
}

/* Handlers ------------------------------------------------------------------------------------- */

Test(ending, a_handler_that_has_a_packet_is_waited_for)
{
	struct volley_config config = get_config(0);

	config.n_workers = 1;
	config.n_handlers = 2;
	config.n_ring = 8;
	open_server(config);
	loopback_send(t.client, &t.to_first, WAIT, 5);
	sem_wait(&gate.entered);
	begin_drain();
	await_refusal();
	for (int i = 0; i < N_PORTS; i++) { /* those of the other handler are served */
		int fd = loopback_open("127.0.0.1:0", NULL);

		loopback_send(fd, &t.to_last, 'x', 5);
		close(fd);
	}
	while (get_stats().delivered == 0)
		sched_yield();
	cr_assert_neq(vly_shared_get_command(&t.server->shared), VLY_COMMAND_DRAIN);
	sem_post(&gate.go);
	cr_assert_eq(join_drain(), 0);
	close_server();
}

static void wait_in_post(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	sem_post(&gate.entered);
	sem_wait(&gate.go);
}

/* What a drain has read by errand only, a start reads again. */
Test(ending, a_drain_drops_nothing_and_a_start_serves_again)
{
	enum { N_QUEUED = 100 };
	struct volley_config config = get_config(0);
	const struct vly_listener *first;
	struct volley_stats stats;

	config.n_workers = 1;
	config.n_handlers = 2;
	config.n_ring = 8;
	open_server(config);
	first = vly_listeners_find(t.server, t.first);
	for (uint32_t round = 1; round <= 2; round++) {
		loopback_send(t.client, &t.to_first, WAIT, 5);
		sem_wait(&gate.entered);
		cr_assert_eq(volley_server_post(t.server, wait_in_post, NULL), 0);
		sem_wait(&gate.entered);
		for (int i = 0; i < N_QUEUED; i++)
			loopback_send(t.client, &t.to_first, 'x', 5);
		begin_drain();
		while (!vly_drain_has_listener(first))
			sched_yield();
		sem_post(&gate.go);
		sem_post(&gate.go);
		cr_assert_eq(join_drain(), 0);
		stats = get_stats();
		cr_assert_eq(stats.delivered, round * (N_QUEUED + 1));
		cr_assert_eq(stats.rx_dropped[VOLLEY_RX_RING_FULL], 0);
		cr_assert_eq(volley_server_start(t.server), 0);
	}
	close_server();
}

/* Sockets of somebody else --------------------------------------------------------------------- */

/* They are read no more from the beginning on, however long it takes; then a start reads them. */
Test(ending, sockets_that_are_kept_are_left)
{
	struct volley_listener kept;
	struct volley_addr to;
	int fd = loopback_open("127.0.0.1:0", &to);
	int copy = dup(fd);

	open_server(get_config(0));
	cr_assert_eq(volley_server_adopt(t.server, &fd, 1,
					 VOLLEY_LISTEN(.on_packet = on_packet,
						       .flags = VOLLEY_LISTEN_KEEP_SOCKETS),
					 &kept),
		     1);
	cr_assert(peer_ask(t.client, &to, 1));
	hold_one();
	begin_drain();
	await_refusal();
	expect_service();
	while (!t.server->ending.has_asked || !vly_goodbye_is_over(&t.server->shared))
		sched_yield();
	loopback_send(t.client, &to, 'k', 5);
	expect_service();
	cr_assert_gt(get_stats().unread_bytes, 0);
	loopback_send(t.client, &t.to_last, REPLY, 5);
	cr_assert_eq(join_drain(), 0);
	expect_reply();
	cr_assert_gt(get_stats().unread_bytes, 0);
	cr_assert_eq(volley_server_start(t.server), 0);
	while (get_stats().unread_bytes > 0)
		sched_yield();
	cr_assert(peer_ask(t.client, &to, 2) || peer_ask(t.client, &to, 2));
	close_server();
	close(copy);
}
