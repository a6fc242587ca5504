/* SPDX-License-Identifier: MIT */

/*
 * Busy sockets that cannot be put back into epoll: they are looked at by the clock, the way back is
 * tried more and more seldom, and nothing is ready meanwhile. How they get out and back where
 * nothing fails is test_loop_fd.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/fault.h"
#include "lib/listeners.h"
#include "own_loop.h"
#include "server/state.h"
#include "sys/clock.h"
#include "worker/loop_ops.h"
#include "worker/polled.h"
#include "worker/rest.h"

TestSuite(polled, .timeout = 60);

static struct {
	unsigned int n_tries;
	unsigned int n_told;
	unsigned int n_libevent;
	char told[512];
} seen;

static int refuse_add(enum fault_function function, const void *site, long detail)
{
	(void)site;
	if (function != FAULT_EPOLL_CTL || detail != EPOLL_CTL_ADD)
		return 0;
	seen.n_tries++;
	return ENOSPC;
}

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	if (strncmp(text, "libevent:", 9) == 0) {
		seen.n_libevent++;
		return;
	}
	seen.n_told++;
	snprintf(seen.told, sizeof seen.told, "%s", text);
}

static struct vly_sock *get_sock(void)
{
	return vly_socks_get_first(&t.server->workers->socks, 0);
}

/* Busy, then empty, and epoll says no. */
static void become_slow(void)
{
	open_server(VOLLEY_CONFIG(.n_batch = 1, .n_budget = 1, .log = on_log), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), 1);
	cr_assert(vly_polled_has_any(t.server->workers));
	fault_set_judge(refuse_add);
	cr_assert_eq(volley_server_process(t.server), 0);
	cr_assert_eq(seen.n_tries, 1);
	expect_echo(1);
}

static void expect_slow(void)
{
	int64_t ns = volley_server_get_timeout_ns(t.server);

	cr_assert(vly_polled_has_slow(t.server->workers));
	cr_assert_not(vly_polled_has_any(t.server->workers));
	cr_assert_not(wakes(0), "it is the clock's");
	cr_assert(ns >= 0 && ns <= (int64_t)VLY_CLOCK_LOOK_NS, "%lld", (long long)ns);
}

/* Until a look is due. */
static void pass_time(void)
{
	while (volley_server_get_timeout_ns(t.server) > 0)
		continue;
}

Test(polled, what_epoll_refuses_is_looked_at_by_the_clock)
{
	become_slow();
	expect_slow();
	for (uint8_t i = 2; i < 12; i++) {
		loopback_send(t.client, &t.to, i, 16);
		expect_slow();
		pass_time();
		cr_assert_eq(volley_server_process(t.server), 1);
		cr_assert(wakes(0), "it is busy, until a pass finds nothing");
		cr_assert_eq(volley_server_process(t.server), 0);
		expect_echo(i);
		expect_slow();
	}
	cr_assert_lt(seen.n_tries, 10, "not each time");
	fault_set_judge(NULL);
	get_sock()->watch.put_ns = 0;
	pass_time();
	cr_assert_eq(volley_server_process(t.server), 0);
	expect_idle();
	cr_assert_not(vly_polled_has_slow(t.server->workers));
	loopback_send(t.client, &t.to, 20, 16);
	cr_assert(wakes(1000), "it is in epoll again");
	cr_assert_eq(volley_server_process(t.server), 1);
	expect_echo(20);
	cr_assert_eq(volley_server_process(t.server), 0);
	expect_idle();
	close_server();
}

Test(polled, the_way_back_is_tried_after_pauses_that_double_and_the_log_is_told_once)
{
	struct vly_watch *watch;

	become_slow();
	watch = &get_sock()->watch;
	for (unsigned int i = 1; i < 15; i++) {
		uint64_t before_ns = vly_clock_get_ns();
		uint64_t pause_ns = vly_rest_get_ns(i);

		cr_assert_eq(seen.n_told, i > VLY_REST_N_DOUBLINGS ? 1u : 0u);
		watch->put_ns = 1; /* the pause is over */
		pass_time();
		cr_assert_eq(volley_server_process(t.server), 0);
		cr_assert_eq(seen.n_tries, i + 1);
		cr_assert_geq(watch->put_ns, before_ns + pause_ns);
		cr_assert_leq(watch->put_ns, vly_clock_get_ns() + pause_ns);
		expect_slow();
	}
	cr_assert_eq(vly_rest_get_ns(UINT32_MAX), vly_rest_get_ns(VLY_REST_N_DOUBLINGS));
	cr_assert_not_null(strstr(seen.told, "127.0.0.1:"));
	cr_assert_not_null(strstr(seen.told, "epoll_ctl"));
	fault_set_judge(NULL);
	close_server();
}

Test(polled, a_slow_socket_stops_starts_and_closes_like_others)
{
	become_slow();
	cr_assert_eq(volley_server_stop(t.server), 0);
	cr_assert_not(vly_polled_has_slow(t.server->workers));
	expect_idle();
	fault_set_judge(NULL);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(volley_server_process(t.server), 0);
	expect_idle();
	cr_assert_eq(volley_listener_close(t.server, listener_at(t.server, 0)), 0);
	cr_assert_eq(volley_server_process(t.server), 0);
	expect_idle();
	close_server();
}

/* A socket that is read again, after a pause, and cannot be put in. */
Test(polled, a_change_that_epoll_refuses_is_made_by_the_clock)
{
	struct vly_sock *sock;

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	sock = get_sock();
	vly_self_enter(&t.server->workers->self);
	vly_socks_set_reads(sock, false);
	cr_assert_eq(vly_loop_update(t.server->workers, sock), 0);
	fault_set_judge(refuse_add);
	vly_socks_set_reads(sock, true);
	cr_assert_eq(vly_loop_update(t.server->workers, sock), 0);
	vly_self_leave(&t.server->workers->self);
	cr_assert_eq(volley_server_process(t.server), 0);
	expect_slow();
	loopback_send(t.client, &t.to, 7, 16);
	pass_time();
	cr_assert_eq(volley_server_process(t.server), 1);
	expect_echo(7);
	fault_set_judge(NULL);
	close_server();
}

/* What others have posted is taken out of the eventfd, or the descriptor would stay readable. */
static void count_post(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	t.n_posts++;
}

Test(polled, where_epoll_cannot_be_asked_everything_is_taken)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	fault_arm_from(FAULT_EPOLL_WAIT, 1, EPERM);
	for (uint8_t i = 1; i < 4; i++) {
		loopback_send(t.client, &t.to, i, 16);
		cr_assert_eq(volley_server_post(t.server, count_post, NULL), 0);
		cr_assert(wakes(1000));
		cr_assert_eq(volley_server_process(t.server), 1);
		expect_echo(i);
		cr_assert_eq(t.n_posts, i);
		expect_idle();
	}
	fault_disarm();
	close_server();
}
