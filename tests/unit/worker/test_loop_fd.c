/* SPDX-License-Identifier: MIT */

/*
 * The wait strategy "fd": a server without a thread, driven by a descriptor, a deadline and
 * process. The descriptor is readable exactly while there is something to do. What else can be
 * called is test_turn.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fake_io.h"
#include "lib/fault.h"
#include "lib/listeners.h"
#include "own_loop.h"
#include "server/state.h"
#include "sys/clock.h"

TestSuite(loop_fd, .timeout = 60);

Test(loop_fd, a_datagram_makes_it_readable_and_process_replies)
{
	open_server(VOLLEY_CONFIG(.n_workers = 0), peer_echo);
	cr_assert_eq(volley_server_get_n_workers(t.server), 1);
	cr_assert_eq(volley_server_start(t.server), 0);
	expect_idle();
	for (uint8_t i = 0; i < 20; i++) {
		loopback_send(t.client, &t.to, i, 16);
		cr_assert(wakes(1000));
		cr_assert_eq(volley_server_process(t.server), 1);
		expect_echo(i);
		expect_idle();
	}
	cr_assert_eq(volley_server_process(t.server), 0, "without need it does no harm");
	close_server();
}

Test(loop_fd, it_stays_readable_until_everything_is_served)
{
	open_server(VOLLEY_CONFIG(.n_batch = 2, .n_budget = 1), peer_echo);
	for (uint8_t i = 0; i < 7; i++)
		loopback_send(t.client, &t.to, i, 16);
	cr_assert_eq(volley_server_start(t.server), 0);
	for (int left = 7; left > 0; left -= 2) {
		cr_assert(wakes(0), "%d are left", left);
		cr_assert_eq(volley_server_process(t.server), left < 2 ? left : 2);
	}
	cr_assert_eq(volley_server_process(t.server), 0, "and back into epoll");
	expect_idle();
	for (uint8_t i = 0; i < 7; i++)
		expect_echo(i);
	close_server();
}

static uint32_t count_polled(void)
{
	return t.server->workers->loop.n_polled;
}

/* It uses up the budget. */
enum { N_BURST = 4 };

static void burst(void)
{
	for (uint8_t i = 0; i < N_BURST; i++)
		loopback_send(t.client, &t.to, i, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), N_BURST);
	cr_assert_eq(count_polled(), 1);
	cr_assert_eq(vly_socks_get_first(&t.server->workers->socks, 0)->watch.events, 0);
	cr_assert(wakes(0), "for what may come");
}

static void count_post(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	t.n_posts++;
}

/* Nothing is reported by epoll then; the descriptor stands for it all the same. */
Test(loop_fd, a_busy_socket_leaves_epoll_and_comes_back)
{
	open_server(VOLLEY_CONFIG(.n_batch = N_BURST, .n_budget = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	for (int i = 0; i < 3; i++) {
		burst();
		cr_assert_eq(volley_server_post(t.server, count_post, NULL), 0);
		cr_assert_eq(volley_server_process(t.server), 0);
		cr_assert_eq(t.n_posts, i + 1);
		cr_assert_eq(count_polled(), 0);
		expect_idle();
		loopback_send(t.client, &t.to, 1, 16);
		cr_assert(wakes(1000), "it is in epoll again");
		cr_assert_eq(volley_server_process(t.server), 1);
		expect_idle();
	}
	close_server();
}

Test(loop_fd, a_busy_socket_closes_and_stops_like_others)
{
	open_server(VOLLEY_CONFIG(.n_batch = N_BURST, .n_budget = 1), peer_echo);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(volley_server_start(t.server), 0);
		burst();
		cr_assert_eq(volley_server_stop(t.server), 0);
		cr_assert_eq(count_polled(), 0);
		expect_idle();
	}
	cr_assert_eq(volley_server_start(t.server), 0);
	expect_idle();
	burst();
	cr_assert_eq(volley_server_request_stop(t.server), 0);
	cr_assert(wakes(0));
	cr_assert_eq(volley_server_process(t.server), -ESHUTDOWN);
	cr_assert_eq(volley_server_stop(t.server), 0);
	cr_assert_eq(volley_server_start(t.server), 0);
	burst();
	cr_assert_eq(volley_listener_close(t.server, listener_at(t.server, 0)), 0);
	cr_assert_eq(count_polled(), 0);
	cr_assert_eq(volley_server_process(t.server), 0);
	expect_idle();
	close_server();
}

Test(loop_fd, an_idle_server_never_wakes)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert(wakes(1000));
	volley_server_process(t.server);
	cr_assert(!wakes(300));
	close_server();
}

Test(loop_fd, every_listener_is_served)
{
	struct volley_addr second;

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_listen(t.server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		     0);
	second = listener_addr(t.server, 1);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &second, 9, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), 1);
	expect_echo(9);
	loopback_send(t.client, &t.to, 8, 16);
	loopback_send(t.client, &second, 8, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), 2);
	expect_echo(8);
	expect_echo(8);
	expect_idle();
	close_server();
}

Test(loop_fd, listeners_come_and_go_while_it_runs)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	for (uint8_t i = 0; i < 3; i++) {
		struct volley_addr second;

		cr_assert_eq(volley_server_listen(t.server, "127.0.0.1:0",
						  VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
			     0);
		second = listener_addr(t.server, 1);
		expect_idle();
		loopback_send(t.client, &second, i, 16);
		cr_assert(wakes(1000));
		cr_assert_eq(volley_server_process(t.server), 1);
		expect_echo(i);
		loopback_send(t.client, &second, 100 + i, 16);
		cr_assert_eq(volley_listener_close(t.server, listener_at(t.server, 1)), 0);
		expect_echo(100 + i);
		expect_idle();
		loopback_send(t.client, &t.to, 200 + i, 16);
		cr_assert(wakes(1000));
		cr_assert_eq(volley_server_process(t.server), 1);
		expect_echo(200 + i);
	}
	cr_assert_eq(volley_server_stop(t.server), 0);
	cr_assert_eq(volley_listener_close(t.server, listener_at(t.server, 0)), 0);
	cr_assert_eq(volley_server_start(t.server), -ENOTCONN);
	close_server();
}

/* Somebody else holds the socket too, so closing it here does not take it out of epoll. */
Test(loop_fd, an_adopted_listener_that_goes_wakes_it_no_more)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	int own = dup(fd);
	int r;

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	r = volley_server_adopt(
		t.server, &own, 1,
		VOLLEY_LISTEN(.on_batch = peer_echo, .flags = VOLLEY_LISTEN_KEEP_SOCKETS), NULL);
	cr_assert_eq(r, 1);
	loopback_send(t.client, &addr, 3, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), 1);
	expect_echo(3);
	cr_assert_eq(volley_listener_close(t.server, listener_at(t.server, 1)), 0);
	loopback_send(t.client, &addr, 4, 16);
	cr_assert(!wakes(50), "it is somebody else's now");
	cr_assert_eq(loopback_recv(fd, (uint8_t[16]){ 0 }, 16, NULL), 16);
	close(fd);
	close_server();
}

/* Failing -------------------------------------------------------------------------------------- */

Test(loop_fd, start_survives_a_failing_epoll)
{
	int n_failed = 0;

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	for (unsigned int nth = 1;; nth++) {
		int r;

		fault_arm(FAULT_EPOLL_CTL, nth, ENOSPC);
		r = volley_server_start(t.server);
		if (fault_disarm() == 0)
			break;
		cr_assert_eq(r, -ENOSPC);
		expect_idle();
		n_failed++;
	}
	cr_assert_eq(n_failed, 2, "the eventfd, the socket");
	close_server();
	cr_assert_eq(t.n_starts, 1);
}

Test(loop_fd, new_survives_a_missing_epoll)
{
	struct volley_server *server = NULL;
	int n_fds = loopback_n_fds();

	fault_arm(FAULT_EPOLL_CREATE1, 1, EMFILE);
	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD), &server), -EMFILE);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_null(server);
	cr_assert_eq(loopback_n_fds(), n_fds);
}

Test(loop_fd, process_serves_although_epoll_fails)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int saved;

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	saved = dup(volley_server_get_fd(t.server));
	cr_assert_geq(dup2(null, volley_server_get_fd(t.server)), 0);
	loopback_send(t.client, &t.to, 4, 16);
	cr_assert_eq(volley_server_process(t.server), 1);
	expect_echo(4);
	cr_assert_geq(dup2(saved, volley_server_get_fd(t.server)), 0);
	close(saved);
	close(null);
	close_server();
}

/* Back-pressure -------------------------------------------------------------------------------- */

static void open_fake(struct fake_server *fake)
{
	/* Longer than any machine stalls: nothing becomes too old here. */
	fake_server_open(fake, VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD, .backlog_us = 60000000),
			 "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = peer_echo));
	t.server = fake->server;
	cr_assert_eq(volley_server_start(t.server), 0);
	expect_idle();
	fake_io_recv_n(fake->io, 0, 3, 8);
	vly_socks_set_ready(vly_socks_get(&fake->worker->socks, 0), true);
}

static void close_fake(struct fake_server *fake)
{
	cr_assert_eq(volley_server_stop(fake->server), 0);
	fake_server_close(fake);
}

Test(loop_fd, a_full_device_is_asked_again_by_the_clock)
{
	struct fake_server fake;
	int64_t ns;
	uint64_t end_ns;

	open_fake(&fake);
	fake_io_send_always(fake.io, -ENOBUFS);
	cr_assert_eq(volley_server_process(t.server), 3);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 3);
	cr_assert(!wakes(0), "writable says nothing about the device");
	ns = volley_server_get_timeout_ns(t.server);
	/* 500 us, or twice that and so on to 8 ms where the machine stalled meanwhile. */
	cr_assert(ns >= 0 && ns <= 8000000, "%lld ns", (long long)ns);
	fake_io_send_always(fake.io, INT_MAX);
	end_ns = vly_clock_get_ns() + (uint64_t)ns;
	while (vly_clock_get_ns() < end_ns)
		poll(NULL, 0, 1);
	cr_assert_eq(volley_server_get_timeout_ns(t.server), 0);
	cr_assert_eq(volley_server_process(t.server), 0);
	cr_assert_eq(fake_io_n_sent(fake.io), 3);
	expect_idle();
	close_fake(&fake);
}

Test(loop_fd, a_full_socket_makes_it_readable_when_there_is_room)
{
	struct fake_server fake;
	int64_t ns;

	open_fake(&fake);
	fake_io_send_result(fake.io, -EAGAIN);
	fake_io_send_result(fake.io, -EAGAIN); /* it is asked once more before the wait */
	cr_assert_eq(volley_server_process(t.server), 3);
	/* The real socket behind the fake backend has room at once. */
	cr_assert(wakes(0));
	ns = volley_server_get_timeout_ns(t.server);
	cr_assert(ns > 30000000000 && ns <= 60000000000, "%lld ns until they are too old",
		  (long long)ns);
	cr_assert_eq(volley_server_process(t.server), 0);
	cr_assert_eq(fake_io_n_sent(fake.io), 3);
	expect_idle();
	close_fake(&fake);
}

Test(loop_fd, replies_that_wait_at_the_stop_are_counted)
{
	struct fake_server fake;

	open_fake(&fake);
	fake_io_send_always(fake.io, -ENOBUFS);
	cr_assert_eq(volley_server_process(t.server), 3);
	cr_assert_eq(volley_server_request_stop(t.server), 0);
	cr_assert_eq(volley_server_process(t.server), -ESHUTDOWN);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_STOPPED], 3);
	expect_idle();
	close_fake(&fake);
}
