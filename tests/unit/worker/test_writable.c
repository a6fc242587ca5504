/* SPDX-License-Identifier: MIT */

/*
 * on_writable in each wait strategy, on a real socket of which the kernel says that it is full: on
 * the worker's thread, in no other callback, once for each time that somebody was told of the line,
 * and not at all when nobody was.
 */

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "lib/fault.h"
#include "timing.h"

TestSuite(writable, .timeout = 60);

enum { N_ROUNDS = 20 };

static _Atomic int error, n_errors; /* what so many calls of sendmmsg meet */
static uint32_t n_told, n_called;
static bool is_inside; /* a callback runs */
static struct volley_addr client;

static int refuse(enum fault_function function, const void *site, long detail)
{
	(void)site;
	if (function != FAULT_SYSCALL || detail != SYS_sendmmsg || atomic_load(&n_errors) <= 0)
		return 0;
	atomic_fetch_sub(&n_errors, 1);
	return atomic_load(&error);
}

/* The next so many calls say that there is no room: EAGAIN by turns with ENOBUFS. */
static void fill(int n)
{
	atomic_store(&error, n_told % 2 ? ENOBUFS : EAGAIN);
	atomic_store(&n_errors, n);
}

static int send_one(struct volley_worker *worker, uint32_t flags)
{
	struct volley_send_options options = { .size = sizeof options, .flags = flags };

	return volley_worker_send(worker, t.listener, &client, "x", 1, &options);
}

/* Begin a line; the post behind this one asks about it. */
static void ask(struct volley_worker *worker, void *arg)
{
	(void)arg;
	cr_assert_not(is_inside);
	is_inside = true;
	if (n_told % 3 == 0) {
		cr_assert_eq(send_one(worker, VOLLEY_SEND_IF_ROOM), -EAGAIN);
	} else {
		cr_assert_eq(volley_worker_get_tx_queued(worker, t.listener), 2);
		cr_assert_eq(volley_worker_get_tx_queued(worker, t.listener), 2, "twice is once");
	}
	n_told++;
	is_inside = false;
}

static void begin_line(struct volley_worker *worker, void *arg)
{
	(void)arg;
	fill(3);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(send_one(worker, 0), 0);
	cr_assert_eq(volley_worker_get_tx_queued(worker, t.listener), 0, "it did not leave yet");
	cr_assert_eq(volley_server_post(t.server, ask, NULL), 0);
}

/* A line that nobody asks about, and then one that somebody does. */
static void begin_quiet(struct volley_worker *worker, void *arg)
{
	(void)arg;
	cr_assert_eq(atomic_load(&n_errors), 0);
	fill(1);
	cr_assert_eq(send_one(worker, 0), 0);
	cr_assert_eq(volley_server_post(t.server, begin_line, NULL), 0);
}

static void on_writable(struct volley_worker *worker, struct volley_listener listener, void *arg)
{
	(void)arg;
	cr_assert_not(is_inside);
	cr_assert(pthread_equal(pthread_self(), t.thread) || t.way >= WAY_FD);
	cr_assert_eq(listener.id, t.listener.id);
	cr_assert_eq(volley_worker_get_tx_queued(worker, listener), 0);
	cr_assert_eq(send_one(worker, VOLLEY_SEND_IF_ROOM), 0);
	cr_assert_eq(++n_called, n_told);
	if (n_called == N_ROUNDS)
		finish();
	else
		cr_assert_eq(volley_server_post(t.server, begin_line, NULL), 0);
}

static void play_lines(enum way way)
{
	uint8_t buf[8];
	int receiver = loopback_open("127.0.0.1:0", &client);

	n_told = n_called = 0;
	open_way(way);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(volley_server_post(t.server, begin_quiet, NULL), 0);
	serve();
	cr_assert_eq(n_called, N_ROUNDS);
	for (int i = 0; i < 1 + 3 * N_ROUNDS; i++)
		cr_assert_eq(loopback_recv(receiver, buf, sizeof buf, NULL), 1);
	close_way();
	close(receiver);
}

Test(writable, once_for_each_line_that_somebody_was_told_of)
{
	t.on_writable = on_writable;
	fault_set_judge(refuse);
	for (enum way way = 0; way < N_WAYS; way++)
		play_lines(way);
}
