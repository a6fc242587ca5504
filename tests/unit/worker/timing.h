/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_WORKER_TIMING_H
#define TESTS_UNIT_WORKER_TIMING_H

/*
 * A server in each of the ways in which it can wait, which begins with a function of the test on
 * the worker's thread and serves until one says that this is the end.
 */

#include <criterion/criterion.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "sys/clock.h"

enum way { WAY_EVENT, WAY_BLOCK, WAY_SPIN, WAY_FD, WAY_BASE, N_WAYS };

#define MS UINT64_C(1000000)

typedef void (*part_fn)(struct volley_worker *worker);

/* A test has its own process. */
static struct {
	enum way way;
	struct volley_server *server;
	struct event_base *base;
	struct volley_addr to;
	int client;
	part_fn begin, end; /* on_start, on_stop */
	volley_batch_fn on_batch;
	volley_listener_fn on_writable;
	struct volley_listener listener;
	uint32_t n_handlers;
	pthread_t thread; /* the worker's */
	sem_t done;
	atomic_bool is_done;
} t;

static inline int on_start(struct volley_worker *worker, void *arg)
{
	(void)arg;
	t.thread = pthread_self();
	if (t.begin != NULL)
		t.begin(worker);
	return 0;
}

static inline void on_stop(struct volley_worker *worker, void *arg)
{
	(void)arg;
	if (t.end != NULL)
		t.end(worker);
}

static inline void open_way(enum way way)
{
	static const uint32_t waits[N_WAYS] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_BLOCK,
						VOLLEY_WAIT_SPIN, VOLLEY_WAIT_FD };

	t.way = way;
	t.base = way == WAY_BASE ? event_base_new() : NULL;
	sem_init(&t.done, 0, 0);
	t.is_done = false;
	cr_assert_eq(
		volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = waits[way],
						.event_base = t.base, .on_start = on_start,
						.on_stop = on_stop, .n_handlers = t.n_handlers),
				  &t.server),
		0);
	cr_assert_eq(volley_server_listen(
			     t.server, "127.0.0.1:0",
			     VOLLEY_LISTEN(.on_batch = t.on_batch != NULL ? t.on_batch : peer_echo,
					   .on_writable = t.on_writable),
			     &t.listener),
		     0);
	cr_assert_eq(volley_listener_get_addr(t.server, t.listener, &t.to), 0);
	t.client = loopback_open("127.0.0.1:0", NULL);
}

static inline void close_way(void)
{
	cr_assert_null(ledger_find_server_fault(t.server));
	cr_assert_eq(volley_server_free(t.server), 0);
	if (t.base != NULL)
		event_base_free(t.base);
	close(t.client);
}

/* Any thread: that is all. */
static inline void finish(void)
{
	atomic_store(&t.is_done, true);
	volley_server_request_stop(t.server);
	sem_post(&t.done);
}

static inline void run_fd(void)
{
	struct pollfd fd = { .fd = volley_server_get_fd(t.server), .events = POLLIN };
	struct timespec timeout;

	do {
		int64_t ns = volley_server_get_timeout_ns(t.server);

		timeout.tv_sec = ns / 1000000000;
		timeout.tv_nsec = ns % 1000000000;
		ppoll(&fd, 1, ns < 0 ? NULL : &timeout, NULL);
	} while (volley_server_process(t.server) >= 0);
}

/* A server that was started: serve until the end, and stop. */
static inline void serve(void)
{
	if (t.way == WAY_FD)
		run_fd();
	else if (t.way == WAY_BASE)
		cr_assert_eq(event_base_dispatch(t.base), 1, "no event is left");
	else
		sem_wait(&t.done);
	cr_assert_eq(volley_server_stop(t.server), 0);
}

static inline void run(void)
{
	cr_assert_eq(volley_server_start(t.server), 0);
	serve();
}

static inline void play(enum way way, part_fn begin, part_fn end)
{
	t.begin = begin;
	t.end = end;
	open_way(way);
	run();
	close_way();
}

static inline bool is_zero(const struct volley_timer *timer)
{
	return (timer->internal[0] | timer->internal[1] | timer->internal[2] |
		timer->internal[3]) == 0;
}

/* A timer that knows when it may fire. */
struct probe {
	struct volley_timer timer;
	uint64_t at_ns;
	uint64_t slack_ns;
	uint32_t n_fired;
};

/* In a timer's function. */
static inline struct probe *check_probe(struct volley_worker *worker, struct volley_timer *timer)
{
	struct probe *probe = (struct probe *)(void *)timer;
	uint64_t now_ns = volley_worker_get_now_ns(worker);

	cr_assert(pthread_equal(pthread_self(), t.thread) || t.way >= WAY_FD);
	cr_assert_geq(now_ns, probe->at_ns, "early");
	cr_assert_leq(now_ns, vly_clock_get_ns());
	cr_assert(is_zero(timer), "it is not set any more");
	probe->n_fired++;
	return probe;
}

static inline void set_probe(struct volley_worker *worker, struct probe *probe, uint64_t delay_ns,
			     uint64_t slack_ns)
{
	uint64_t before_ns = vly_clock_get_ns();

	cr_assert_eq(volley_worker_set_timer(worker, &probe->timer, delay_ns, slack_ns), 0);
	cr_assert_not(is_zero(&probe->timer));
	probe->at_ns = before_ns + delay_ns;
	probe->slack_ns = slack_ns;
}

#endif
