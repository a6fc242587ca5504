/* SPDX-License-Identifier: MIT */

/*
 * Servers on an event_base of the caller's: no thread, and the caller's loop serves them beside its
 * own events. stop, drain and free come from the same thread, between its events.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "lib/fake_io.h"
#include "lib/fault.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "server/state.h"

TestSuite(loop_base, .timeout = 60);

enum { N = 3 };

static struct {
	struct event_base *base;
	struct volley_server *servers[N];
	struct volley_addr to[N];
	int client;
	int result;
	int n_starts, n_stops, n_posts, n_ticks;
	pthread_t thread; /* the base's */
} t;

static int on_start(struct volley_worker *worker, void *arg)
{
	(void)arg;
	cr_assert_eq(volley_worker_get_event_base(worker), t.base);
	cr_assert(pthread_equal(pthread_self(), t.thread));
	t.n_starts++;
	return t.result;
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	cr_assert(pthread_equal(pthread_self(), t.thread));
	t.n_stops++;
}

static void open_base(int n)
{
	t.thread = pthread_self();
	t.base = event_base_new();
	cr_assert_not_null(t.base);
	t.client = loopback_open("127.0.0.1:0", NULL);
	for (int i = 0; i < n; i++)
		t.servers[i] = peer_server(VOLLEY_CONFIG(.event_base = t.base, .on_start = on_start,
							 .on_stop = on_stop),
					   peer_echo, NULL, &t.to[i]);
}

static void close_base(int n)
{
	for (int i = 0; i < n; i++) {
		cr_assert_null(ledger_find_server_fault(t.servers[i]));
		cr_assert_eq(volley_server_free(t.servers[i]), 0);
	}
	cr_assert_eq(t.n_starts, t.n_stops);
	cr_assert_eq(event_base_get_num_events(t.base, EVENT_BASE_COUNT_ADDED), 0);
	event_base_free(t.base);
	close(t.client);
}

/* Let the base do what there is to do. */
static void turn(void)
{
	cr_assert_geq(event_base_loop(t.base, EVLOOP_NONBLOCK), 0);
}

static void expect_echo(uint8_t tag)
{
	uint8_t buf[64];

	cr_assert_eq(loopback_recv(t.client, buf, sizeof buf, NULL), 16);
	cr_assert_eq(buf[0], tag);
}

Test(loop_base, several_servers_are_served_by_one_loop)
{
	open_base(N);
	for (int i = 0; i < N; i++)
		cr_assert_eq(volley_server_start(t.servers[i]), 0);
	for (int round = 0; round < 10; round++) {
		for (uint8_t i = 0; i < N; i++)
			loopback_send(t.client, &t.to[i], i, 16);
		for (uint8_t i = 0; i < N; i++) {
			turn();
			expect_echo(i);
		}
	}
	cr_assert_eq(volley_server_get_n_workers(t.servers[0]), 1);
	close_base(N);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { .tv_usec = 1000 };

	(void)fd, (void)what;
	if (++t.n_ticks < 20) {
		loopback_send(t.client, &t.to[0], (uint8_t)t.n_ticks, 16);
		event_add(*(struct event **)arg, &soon);
		return;
	}
	/* The last tick stops one server and asks the other; no events are left then. */
	cr_assert_eq(volley_server_drain(t.servers[0]), 0);
	cr_assert_eq(volley_server_request_stop(t.servers[1]), 0);
}

Test(loop_base, dispatch_serves_beside_the_callers_events_and_ends_with_the_servers)
{
	static const struct timeval soon = { .tv_usec = 1000 };
	struct volley_stats stats = { .size = sizeof stats };
	struct event *timer;

	open_base(2);
	timer = evtimer_new(t.base, on_tick, &timer);
	event_add(timer, &soon);
	cr_assert_eq(volley_server_start(t.servers[0]), 0);
	cr_assert_eq(volley_server_start(t.servers[1]), 0);
	cr_assert_eq(event_base_dispatch(t.base), 1, "because there are no events any more");
	cr_assert_eq(t.n_stops, 2);
	for (uint8_t i = 1; i < 20; i++)
		expect_echo(i);
	cr_assert_eq(volley_server_get_stats(t.servers[0], &stats), 0);
	cr_assert_eq(stats.delivered, 19);
	event_free(timer);
	close_base(2);
}

static void posted(struct volley_worker *worker, void *arg)
{
	(void)arg;
	cr_assert(pthread_equal(pthread_self(), t.thread));
	if (++t.n_posts == 100)
		volley_server_request_stop(volley_worker_get_server(worker));
}

static void *post(void *arg)
{
	for (int i = 0; i < 100; i++) {
		while (__atomic_load_n(&t.n_posts, __ATOMIC_RELAXED) < i)
			sched_yield();
		cr_assert_eq(volley_server_post(arg, posted, NULL), 0);
	}
	return NULL;
}

Test(loop_base, posts_and_requests_from_other_threads_wake_it)
{
	pthread_t thread;

	open_base(1);
	cr_assert_eq(volley_server_start(t.servers[0]), 0);
	pthread_create(&thread, NULL, post, t.servers[0]);
	cr_assert_eq(event_base_dispatch(t.base), 1);
	pthread_join(thread, NULL);
	cr_assert_eq(t.n_posts, 100);
	cr_assert_eq(t.n_stops, 1);
	close_base(1);
}

Test(loop_base, it_starts_again_after_each_way_to_stop)
{
	open_base(1);
	for (int i = 0; i < 6; i++) {
		cr_assert_eq(volley_server_start(t.servers[0]), 0);
		cr_assert_eq(volley_server_start(t.servers[0]), -EALREADY);
		loopback_send(t.client, &t.to[0], 7, 16);
		turn();
		expect_echo(7);
		if (i % 3 == 2) {
			cr_assert_eq(volley_server_request_stop(t.servers[0]), 0);
			turn();
			cr_assert_eq(t.n_stops, i + 1);
		}
		cr_assert_eq(i % 3 == 1 ? volley_server_drain(t.servers[0])
					: volley_server_stop(t.servers[0]),
			     0);
		cr_assert_eq(t.n_stops, i + 1);
		cr_assert_eq(event_base_get_num_events(t.base, EVENT_BASE_COUNT_ADDED), 0);
	}
	close_base(1);
}

Test(loop_base, an_idle_server_never_wakes)
{
	struct volley_worker *worker;
	uint64_t n_wakes;
	static const struct timeval while_idle = { .tv_usec = 200000 };

	open_base(1);
	worker = &t.servers[0]->workers[0];
	cr_assert_eq(volley_server_start(t.servers[0]), 0);
	loopback_send(t.client, &t.to[0], 7, 16);
	turn();
	n_wakes = worker->books.n_wakes;
	event_base_loopexit(t.base, &while_idle);
	event_base_dispatch(t.base);
	cr_assert_eq(worker->books.n_wakes, n_wakes);
	close_base(1);
}

Test(loop_base, listeners_come_and_go_while_it_runs)
{
	struct volley_addr second;

	open_base(1);
	cr_assert_eq(volley_server_start(t.servers[0]), 0);
	cr_assert_eq(volley_server_listen(t.servers[0], "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		     0);
	second = listener_addr(t.servers[0], 1);
	loopback_send(t.client, &second, 1, 16);
	turn();
	expect_echo(1);
	loopback_send(t.client, &second, 2, 16);
	cr_assert_eq(volley_listener_close(t.servers[0], listener_at(t.servers[0], 1)), 0);
	expect_echo(2);
	loopback_send(t.client, &t.to[0], 3, 16);
	turn();
	expect_echo(3);
	close_base(1);
}

Test(loop_base, other_calls_have_their_results)
{
	struct volley_server *server;

	open_base(1);
	cr_assert_eq(volley_server_run(t.servers[0]), -EINVAL);
	cr_assert_eq(volley_server_process(t.servers[0]), -EINVAL, "the base does");
	cr_assert_eq(volley_server_get_fd(t.servers[0]), -EINVAL);
	cr_assert_eq(volley_server_get_timeout_ns(t.servers[0]), -1);
	cr_assert_eq(volley_server_stop(t.servers[0]), 0);
	cr_assert_eq(
		volley_server_new(VOLLEY_CONFIG(.event_base = t.base, .n_workers = 2), &server),
		-EINVAL);
	close_base(1);
}

Test(loop_base, a_start_that_fails_leaves_nothing_on_the_base)
{
	static const enum fault_function functions[] = { FAULT_ALIGNED_ALLOC, FAULT_EPOLL_CTL,
							 FAULT_EVENT_NEW, FAULT_EVENT_ADD };

	open_base(1);
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		for (unsigned int nth = 1;; nth++) {
			int r;

			fault_arm(functions[i], nth, ENOMEM);
			r = volley_server_start(t.servers[0]);
			if (fault_disarm() == 0)
				break;
			cr_assert_eq(r, -ENOMEM);
			cr_assert_eq(event_base_get_num_events(t.base, EVENT_BASE_COUNT_ADDED), 0);
		}
		cr_assert_eq(volley_server_stop(t.servers[0]), 0);
	}
	t.n_starts = t.n_stops = 0;
	t.result = -EXDEV;
	cr_assert_eq(volley_server_start(t.servers[0]), -EXDEV);
	cr_assert_eq(event_base_get_num_events(t.base, EVENT_BASE_COUNT_ADDED), 0);
	t.n_starts = 0;
	close_base(1);
}

Test(loop_base, a_full_device_is_asked_again_by_the_clock)
{
	struct fake_server fake;
	int n_turns = 0;

	t.base = event_base_new();
	fake_server_open(&fake, VOLLEY_CONFIG(.event_base = t.base), "127.0.0.1:0",
			 VOLLEY_LISTEN(.on_batch = peer_echo));
	cr_assert_eq(volley_server_start(fake.server), 0);
	fake_io_recv_n(fake.io, 0, 3, 8);
	fake_io_send_result(fake.io, -ENOBUFS);
	fake_io_send_result(fake.io, -ENOBUFS);
	vly_socks_set_ready(vly_socks_get(&fake.worker->socks, 0), true);
	vly_mail_wake(&fake.worker->mail);
	while (fake_io_n_sent(fake.io) < 3 && n_turns++ < 10)
		event_base_loop(t.base, EVLOOP_ONCE); /* the test's timeout is what fails it */
	cr_assert_eq(fake_io_n_sent(fake.io), 3);
	cr_assert_leq(n_turns, 4, "and nothing spins until then");
	cr_assert_eq(volley_server_stop(fake.server), 0);
	fake_server_close(&fake);
	event_base_free(t.base);
}
