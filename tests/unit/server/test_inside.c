/* SPDX-License-Identifier: MIT */

/*
 * What callbacks ask for in the middle of something: sends in on_error, which a flush calls, and in
 * on_stop; and a listener that goes while a callback has begun.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <unistd.h>

#include "lib/ledger.h"
#include "lib/lifetime.h"
#include "lib/listeners.h"
#include "path/drops.h"
#include "path/listener.h"
#include "server/call.h"
#include "server/listeners.h"
#include "worker/change.h"
#include "worker/presence.h"

static struct volley_addr nobody; /* nothing is bound there */
static uint32_t n_errors;
static uint32_t n_refused;
static uint32_t n_wanted; /* on_error sends as often */
static int sends_by;      /* this listener */

static void open_all(void)
{
	count_fds();
	n_errors = n_refused = n_wanted = 0;
	sends_by = 0;
	close(loopback_open("127.0.0.1:0", &nobody));
}

TestSuite(inside, .init = open_all, .fini = compare_fds, .timeout = 60);

static void send_again(struct volley_worker *worker, const struct volley_addr *peer, int error,
		       void *arg)
{
	int r;

	(void)error, (void)arg;
	if (n_errors++ >= n_wanted)
		return;
	r = volley_worker_send(worker,
			       listener_at(volley_worker_get_server(worker), (uint32_t)sends_by),
			       peer, "y", 1, NULL);
	cr_assert(r == 0 || r == -ENOBUFS, "%d", r);
	n_refused += r < 0;
}

static void say_bye(struct volley_worker *worker, void *arg)
{
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					arg, "bye", 3, NULL),
		     0);
}

static int listen_reporting(struct volley_server *server)
{
	return volley_server_listen(
		server, "127.0.0.1:0",
		VOLLEY_LISTEN(.on_batch = peer_echo, .on_error = send_again,
			      .flags = VOLLEY_LISTEN_REPORT_ERRORS | VOLLEY_LISTEN_NO_COALESCE),
		NULL);
}

/* With two listeners, without threads. */
static struct volley_server *start_reporting(void)
{
	struct volley_server *server;

	cr_assert_eq(
		volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD), &server),
		0);
	cr_assert_eq(listen_reporting(server), 0);
	cr_assert_eq(listen_reporting(server), 0);
	cr_assert_eq(volley_server_start(server), 0);
	return server;
}

static void process(struct volley_server *server, uint32_t n)
{
	while (n-- > 0)
		cr_assert_geq(volley_server_process(server), 0);
}

static struct volley_stats close_server(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };
	const char *fault;

	cr_assert_eq(volley_server_stop(server), 0);
	fault = ledger_find_server_fault(server);
	cr_assert_null(fault, "%s", fault);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(volley_server_free(server), 0);
	return stats;
}

/* Each of its sends is refused by the network at once, and it is told so in the next turn. */
Test(inside, an_error_that_sends_what_fails_too_comes_to_an_end)
{
	struct volley_server *server = start_reporting();
	struct volley_stats stats;

	n_wanted = UINT32_MAX;
	for (uint32_t i = 0; i < 3; i++) /* the last one meets the error of the first */
		cr_assert_eq(volley_server_send(server, listener_at(server, i % 2), &nobody, "x", 1,
						NULL),
			     0);
	process(server, 100);
	cr_assert_geq(n_errors, 100, "%u", n_errors);
	stats = close_server(server);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_NO_BUFFER], n_refused);
}

Test(inside, a_listener_goes_with_what_on_error_sends_by_it)
{
	struct volley_server *server = start_reporting();

	n_wanted = 1;
	sends_by = 1;
	cr_assert_eq(volley_server_send(server, listener_at(server, 1), &nobody, "x", 1, NULL), 0);
	process(server, 1);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 1)), 0);
	process(server, 5);
	cr_assert_eq(n_errors, 2, "%u", n_errors);
	cr_assert_eq(close_server(server).tx_requested, 2);
}

Test(inside, what_on_stop_sends_leaves)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 2, .on_stop = say_bye, .arg = &addr), peer_echo, NULL,
		&to);
	struct volley_stats stats;
	uint8_t buf[8];

	cr_assert_eq(volley_server_start(server), 0);
	cr_assert(peer_ask(fd, &to, 7));
	stats = close_server(server);
	cr_assert_eq(stats.tx_requested, 3);
	cr_assert_eq(stats.tx_sent, 3);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 3);
	close(fd);
}

static bool has_stopped;

static void expect_before_stop(struct volley_worker *worker, const struct volley_addr *peer,
			       int error, void *arg)
{
	cr_assert_not(has_stopped, "on_stop was to be the last");
	send_again(worker, peer, error, arg);
}

static void say_byes(struct volley_worker *worker, void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < 3; i++)
		cr_assert_eq(volley_worker_send(
				     worker, listener_at(volley_worker_get_server(worker), i % 2),
				     &nobody, "bye", 3, NULL),
			     0);
	has_stopped = true;
}

Test(inside, on_stop_is_the_last_that_is_called)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD,
						     .on_stop = say_byes),
				       &server),
		     0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(
			volley_server_listen(server, "127.0.0.1:0",
					     VOLLEY_LISTEN(.on_batch = peer_echo,
							   .on_error = expect_before_stop,
							   .flags = VOLLEY_LISTEN_REPORT_ERRORS),
					     NULL),
			0);
	for (int i = 0; i < 2; i++) {
		uint32_t n_before = n_errors;

		has_stopped = false;
		cr_assert_eq(volley_server_start(server), 0);
		cr_assert_eq(
			volley_server_send(server, listener_at(server, 0), &nobody, "x", 1, NULL),
			0);
		process(server, 2); /* the second hears of it: the callback is there again */
		cr_assert_gt(n_errors, n_before);
		cr_assert_eq(volley_server_stop(server), 0);
		cr_assert(has_stopped);
	}
	cr_assert_eq(close_server(server).tx_sent, 2 + 2 * 3);
}

static int say_hello(struct volley_worker *worker, void *arg)
{
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					arg, "hello", 5, NULL),
		     0);
	return n_wanted > 0 ? -EIO : 0;
}

/* The config's argument is whom it is for. */
static struct volley_server *new_greeting(struct volley_addr *addr, uint32_t wait)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = wait,
						     .on_start = say_hello, .arg = addr),
				       &server),
		     0);
	cr_assert_eq(listen_once(server), 0);
	return server;
}

Test(inside, what_on_start_sends_leaves_before_any_wait)
{
	static const uint32_t waits[] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_BLOCK, VOLLEY_WAIT_SPIN,
					  VOLLEY_WAIT_FD };
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	uint8_t buf[8];

	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
		struct volley_server *server = new_greeting(&addr, waits[i]);

		cr_assert_eq(volley_server_start(server), 0);
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 5, "wait %u", waits[i]);
		cr_assert_eq(close_server(server).tx_sent, 1);
	}
	close(fd);
}

Test(inside, what_on_start_sends_leaves_although_it_fails)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	struct volley_server *server = new_greeting(&addr, VOLLEY_WAIT_EVENT);
	struct volley_stats stats = { .size = sizeof stats };

	n_wanted = 1;
	cr_assert_eq(volley_server_start(server), -EIO);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.tx_requested, 1);
	cr_assert_eq(stats.tx_sent, 1);
	cr_assert_null(ledger_find_fault(&stats));
	cr_assert_eq(volley_server_free(server), 0);
	close(fd);
}

static sem_t has_begun;
static sem_t may_end;

static void wait_inside(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	(void)arg;
	sem_post(&has_begun);
	sem_wait(&may_end);
	peer_echo(worker, packets, n, arg);
}

static int detach(struct volley_server *server, struct vly_listener *listener)
{
	int r;

	vly_lock_take(&server->listening);
	r = vly_call_run(server, vly_change_detach, listener);
	vly_lock_give(&server->listening);
	return r;
}

Test(inside, a_listener_stays_until_handlers_are_done_with_its_packets)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD, .n_handlers = 1), wait_inside,
		NULL, &to);
	struct vly_listener *listener = vly_listeners_get(server, 0);
	int fd = loopback_open("127.0.0.1:0", NULL);
	uint8_t buf[8];

	sem_init(&has_begun, 0, 0);
	sem_init(&may_end, 0, 0);
	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 7, 1);
	process(server, 1);
	sem_wait(&has_begun);
	cr_assert_eq(detach(server, listener), -EAGAIN);
	cr_assert_not_null(vly_socks_get_first(&server->workers->socks, 0));
	sem_post(&may_end);
	while (detach(server, listener) < 0)
		sched_yield();
	cr_assert_null(vly_socks_get_first(&server->workers->socks, 0));
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1, "its reply has left");
	close(listener->fds[0]); /* nobody's now */
	close_server(server);
	close(fd);
}

static void hold(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	cr_assert_eq(n, 1);
	cr_assert_eq(volley_packet_hold(&packets[0], arg), 0);
}

/* The next process would have ended it, and nobody calls that. */
Test(inside, a_close_behind_a_request_to_stop_hears_of_handlers)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD, .n_handlers = 1), peer_echo,
		NULL, &to);
	int fd = loopback_open("127.0.0.1:0", NULL);
	uint8_t buf[8];

	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 7, 1);
	process(server, 1);
	cr_assert_eq(volley_server_request_stop(server), 0);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1);
	close_server(server);
	close(fd);
}

/* As a worker at its end does, which has taken the errand for mail. */
Test(inside, a_worker_at_its_end_reads_no_more)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD), peer_echo, NULL, &to);
	struct vly_listener *listener = vly_listeners_get(server, 0);
	int fd = loopback_open("127.0.0.1:0", NULL);

	cr_assert_eq(volley_server_start(server), 0);
	vly_presence_close(server->workers);
	loopback_send(fd, &to, 7, 1);
	cr_assert_eq(vly_change_serve(server->workers, listener), 0);
	cr_assert_eq(close_server(server).rx_datagrams, 0);
	close(fd);
}

/* Nobody calls process meanwhile. */
Test(inside, a_close_in_a_loop_of_ones_own_hears_of_a_late_reply)
{
	struct volley_held held;
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD), hold, &held, &to);
	int fd = loopback_open("127.0.0.1:0", NULL);
	uint8_t buf[8];

	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 7, 1);
	process(server, 1);
	cr_assert_eq(volley_held_reply(server, held, "late", 4), 0);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 4);
	cr_assert_eq(close_server(server).tx_sent, 1);
	close(fd);
}

/* One packet is held and nobody will reply; a busy socket has left others unread. */
static void hold_first(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	static struct volley_held held;

	(void)worker;
	if ((*(uint32_t *)arg)++ == 0)
		cr_assert_eq(volley_packet_hold(packet, &held), 0);
	usleep(10); /* slow, so that there are some unread */
}

Test(inside, a_drain_of_what_is_held_does_not_spin)
{
	enum { N = 4000, DRAIN_US = 500 * 1000 };
	uint32_t n_packets = 0;
	struct volley_server *server;
	struct volley_stats stats;
	const struct volley_addr *to;
	int fd = loopback_open("127.0.0.1:0", NULL);

	cr_assert_eq(
		volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .drain_us = DRAIN_US), &server), 0);
	cr_assert_eq(volley_server_listen(server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_packet = hold_first, .arg = &n_packets,
							.flags = VOLLEY_LISTEN_NO_COALESCE),
					  NULL),
		     0);
	to = LISTENER_ADDR(server, 0);
	cr_assert_eq(volley_server_start(server), 0);
	for (uint32_t i = 0; i < N; i++)
		loopback_send(fd, to, 7, 1);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), -ETIME);
	stats = close_server(server);
	cr_assert_lt(stats.wakes, 10000, "%ju wakes", (uintmax_t)stats.wakes);
	close(fd);
}
