/* SPDX-License-Identifier: MIT */

/*
 * From a drain's request to its beginning: on_drain once on every worker, all served as before for
 * linger_us, and what cuts that short or does not.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "lib/gate.h"
#include "lib/giver.h"
#include "lib/ledger.h"
#include "lib/lifetime.h"
#include "lib/ways.h"
#include "sys/clock.h"

TestSuite(linger, .init = count_fds, .fini = compare_fds, .timeout = 60);

enum { N_WORKERS = 2, LONG_US = 50000000 };

static struct {
	struct volley_server *server;
	struct volley_addr to;
	struct event_base *base;
	int fd; /* the client */
	struct volley_addr client;
	sem_t told;
	atomic_uint n_told;
	atomic_uint n_wrong;
	pthread_t drainer;
} t;

/* Says goodbye to the client. */
static void on_drain(struct volley_worker *worker, void *arg)
{
	struct volley_listener listener = listener_at(t.server, 0);

	if (!vly_self_is_me(&worker->self) || arg != &t)
		atomic_fetch_add(&t.n_wrong, 1);
	if (volley_worker_send(worker, listener, &t.client, "bye", 3, NULL) < 0)
		atomic_fetch_add(&t.n_wrong, 1);
	atomic_fetch_add(&t.n_told, 1);
	sem_post(&t.told);
}

static struct volley_config get_config(size_t way, uint32_t linger_us)
{
	struct volley_config config = { .size = sizeof config,
					.n_workers = N_WORKERS,
					.linger_us = linger_us,
					.on_drain = on_drain,
					.arg = &t };

	set_way(&config, way, &t.base);
	return config;
}

static void open_with(struct volley_config config, volley_batch_fn fn)
{
	sem_init(&t.told, 0, 0);
	atomic_store(&t.n_told, 0);
	t.fd = loopback_open("127.0.0.1:0", &t.client);
	t.server = peer_server(&config, fn, NULL, &t.to);
}

static void open_server(size_t way, uint32_t linger_us)
{
	open_with(get_config(way, linger_us), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
}

static void close_server(void)
{
	cr_assert_null(ledger_find_server_fault(t.server));
	cr_assert_eq(volley_server_free(t.server), 0);
	cr_assert_eq(atomic_load(&t.n_wrong), 0);
	if (t.base != NULL)
		event_base_free(t.base);
	t.base = NULL;
	close(t.fd);
}

static uint32_t count_workers(void)
{
	return volley_server_get_n_workers(t.server);
}

static void await_hooks(void)
{
	for (uint32_t i = 0; i < count_workers(); i++)
		sem_wait(&t.told);
}

static void expect_goodbyes(void)
{
	char text[64];

	for (uint32_t i = 0; i < count_workers(); i++) {
		cr_assert_eq(loopback_recv(t.fd, (uint8_t *)text, sizeof text, NULL), 3);
		cr_assert_eq(text[0], 'b');
	}
}

static void begin_drain(void)
{
	pthread_create(&t.drainer, NULL, call_drain, t.server);
	await_hooks();
	expect_goodbyes();
}

static int join_drain(void)
{
	void *r;

	pthread_join(t.drainer, &r);
	return (int)(intptr_t)r;
}

Test(linger, all_serve_as_before_and_a_stop_ends_it)
{
	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		uint64_t begin_ns = vly_clock_get_ns();

		open_server(way, LONG_US);
		begin_drain();
		for (uint8_t tag = 0; tag < 20; tag++)
			cr_assert(peer_ask(t.fd, &t.to, tag), "way %zu", way);
		cr_assert_eq(volley_server_stop(t.server), 0);
		cr_assert_eq(join_drain(), -ETIME, "way %zu: it was cut short", way);
		cr_assert_lt(vly_clock_get_ns() - begin_ns, UINT64_C(20000000000));
		cr_assert_eq(atomic_load(&t.n_told), count_workers(), "way %zu", way);
		close_server();
	}
}

Test(linger, it_ends_by_the_clock_and_then_the_drain_does)
{
	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		uint64_t begin_ns, took_ns;

		open_server(way, 50000);
		begin_ns = vly_clock_get_ns();
		begin_drain();
		cr_assert_eq(join_drain(), 0, "way %zu", way);
		took_ns = vly_clock_get_ns() - begin_ns;
		cr_assert_geq(took_ns, 50000000);
		cr_assert_lt(took_ns, UINT64_C(1000000000), "way %zu: %lu ns", way, took_ns);
		cr_assert_eq(atomic_load(&t.n_told), count_workers());
		/* A later start has a drain of its own, which says goodbye again. */
		cr_assert_eq(volley_server_start(t.server), 0);
		cr_assert_eq(volley_server_drain(t.server), 0);
		cr_assert_eq(atomic_load(&t.n_told), 2 * count_workers());
		expect_goodbyes();
		close_server();
	}
}

/* What comes while the hook runs is not refused yet, and served out. */
static void send_and_return(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	loopback_send(t.fd, &t.to, 5, 16);
}

Test(linger, nothing_is_refused_before_the_hook_has_returned)
{
	uint8_t buf[64];

	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		struct volley_config config = get_config(way, 0);

		config.on_drain = send_and_return;
		config.n_workers = 1;
		open_with(config, peer_echo);
		cr_assert_eq(volley_server_start(t.server), 0);
		cr_assert_eq(volley_server_drain(t.server), 0);
		cr_assert_eq(loopback_recv(t.fd, buf, sizeof buf, NULL), 16, "way %zu", way);
		close_server();
	}
}

Test(linger, only_a_drain_has_the_hook)
{
	for (size_t way = 0; way < N_ALL_WAYS; way++) {
		open_server(way, LONG_US);
		cr_assert_eq(volley_server_stop(t.server), 0);
		cr_assert_eq(volley_server_drain(t.server), 0, "it does not run");
		cr_assert_eq(volley_server_start(t.server), 0);
		cr_assert_eq(volley_server_request_stop(t.server), 0);
		cr_assert_eq(volley_server_stop(t.server), 0);
		cr_assert_eq(volley_server_start(t.server), 0);
		cr_assert_eq(volley_server_close(t.server), 0);
		cr_assert_eq(atomic_load(&t.n_told), 0);
		close_server();
	}
}

Test(linger, a_server_without_a_listener_does_not)
{
	uint64_t begin_ns = vly_clock_get_ns();

	open_server(0, LONG_US);
	cr_assert_eq(volley_listener_close(t.server, listener_at(t.server, 0)), 0);
	atomic_store(&t.n_wrong, 0);
	cr_assert_eq(volley_server_drain(t.server), 0);
	cr_assert_lt(vly_clock_get_ns() - begin_ns, UINT64_C(20000000000));
	cr_assert_eq(atomic_load(&t.n_told), N_WORKERS);
	atomic_store(&t.n_wrong, 0); /* there is nothing to say goodbye by */
	close_server();
}

/* The worker comes to its hook when the drain's time is over. */
Test(linger, a_callback_does_not_hold_up_the_end)
{
	struct volley_config config = get_config(0, 10000);

	open_gate();
	config.n_workers = 1;
	config.drain_us = 30000;
	open_with(config, wait_at_gate);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.fd, &t.to, 1, 16);
	sem_wait(&gate.entered);
	pthread_create(&t.drainer, NULL, call_drain, t.server);
	while (vly_shared_get_command(&t.server->shared) != VLY_COMMAND_DRAIN)
		sched_yield();
	cr_assert_eq(atomic_load(&t.n_told), 0);
	sem_post(&gate.go);
	cr_assert_eq(join_drain(), -ETIME);
	cr_assert_eq(atomic_load(&t.n_told), 1, "it is called all the same");
	close_server();
}

/* Under run ------------------------------------------------------------------------------------ */

static void *call_run(void *server)
{
	return (void *)(intptr_t)volley_server_run(server);
}

static pthread_t begin_run(uint32_t linger_us)
{
	pthread_t runner;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &mask, NULL); /* run reads it */
	open_with(get_config(0, linger_us), peer_echo);
	pthread_create(&runner, NULL, call_run, t.server);
	cr_assert(peer_ask(t.fd, &t.to, 1));
	return runner;
}

static void expect_end(pthread_t runner)
{
	void *r;

	pthread_join(runner, &r);
	cr_assert_eq((intptr_t)r, 0);
	cr_assert_eq(atomic_load(&t.n_told), N_WORKERS);
	close_server();
}

Test(linger, a_second_signal_ends_it)
{
	pthread_t runner = begin_run(LONG_US);

	kill(getpid(), SIGTERM);
	await_hooks();
	expect_goodbyes();
	for (uint8_t tag = 0; tag < 20; tag++)
		cr_assert(peer_ask(t.fd, &t.to, tag));
	kill(getpid(), SIGTERM);
	expect_end(runner);
}

Test(linger, a_stop_under_run_ends_it)
{
	pthread_t runner = begin_run(LONG_US);

	cr_assert_eq(volley_server_request_stop(t.server), 0);
	await_hooks();
	expect_goodbyes();
	cr_assert(peer_ask(t.fd, &t.to, 1));
	cr_assert_eq(volley_server_stop(t.server), 0);
	expect_end(runner);
}

/* Asked again at half of its time, by whoever; it would be half as long again. */
Test(linger, asking_again_does_not_prolong_it)
{
	pthread_t runner = begin_run(1000000);
	uint64_t begin_ns = vly_clock_get_ns();

	cr_assert_eq(volley_server_request_stop(t.server), 0);
	await_hooks();
	expect_goodbyes();
	while (vly_clock_get_ns() - begin_ns < 500000000)
		cr_assert(peer_ask(t.fd, &t.to, 1));
	cr_assert_eq(volley_server_request_stop(t.server), 0);
	cr_assert_eq(volley_server_drain(t.server), 0);
	cr_assert_geq(vly_clock_get_ns() - begin_ns, 1000000000);
	cr_assert_lt(vly_clock_get_ns() - begin_ns, 1450000000);
	expect_end(runner);
}

/* A hot restart ------------------------------------------------------------------------------- */

static uint32_t n_read; /* of the sockets that the hook finds being read */

static void look(struct volley_worker *worker, void *arg)
{
	const struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);

	(void)arg;
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index))
		n_read += sock->reads;
	atomic_fetch_add(&t.n_told, 1);
}

Test(linger, the_old_process_says_goodbye_before_it_stops_reading)
{
	struct volley_config config = get_config(0, LONG_US);
	struct volley_server *new;
	struct giver giver;
	int fds[2];

	config.n_workers = 1;
	config.on_drain = look;
	open_with(config, peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &new), 0);
	giver_start(&giver, t.server, fds[0], 20000000, false);
	cr_assert_eq(volley_server_import_fds(new, fds[1], 20000000, NULL, NULL), 1);
	cr_assert_eq(atomic_load(&t.n_told), 0, "the new one is not ready");
	{
		char text[VOLLEY_ADDR_TEXT_BYTES];

		volley_addr_format(&t.to, text, sizeof text);
		cr_assert_eq(
			volley_server_listen(new, text, VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
			0);
	}
	cr_assert_eq(volley_server_start(new), 0);
	cr_assert_eq(volley_server_import_commit(new, fds[1], 20000000), 0);
	cr_assert_eq(giver_join(&giver), 0);
	cr_assert_eq(atomic_load(&t.n_told), 1);
	cr_assert_eq(n_read, 1);
	/* It has said so, and has nothing left to linger for. */
	cr_assert_eq(volley_server_drain(t.server), 0);
	cr_assert_eq(atomic_load(&t.n_told), 1);
	cr_assert_eq(volley_server_free(new), 0);
	close(fds[0]);
	close(fds[1]);
	close_server();
}
