/* SPDX-License-Identifier: MIT */

/*
 * Timers on the test's own thread, turn by turn; who may set them; and what is refused. In each
 * wait strategy: test_timers_ways.c.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/fake_io.h"
#include "lib/fault.h"
#include "path/self.h"
#include "server/state.h"
#include "timing.h"
#include "worker/chores.h"
#include "worker/timers.h"

TestSuite(timers, .timeout = 60);

static struct fake_server fake;
static struct volley_timer timers[1000];
static uint32_t n_fired;

/* Turn by turn --------------------------------------------------------------------------------- */

static void open_fake(void)
{
	fake_server_open(&fake, VOLLEY_CONFIG(.wait = VOLLEY_WAIT_SPIN), "127.0.0.1:0",
			 VOLLEY_LISTEN(.on_batch = peer_echo));
	vly_self_enter(&fake.worker->self);
	vly_timers_open(fake.worker);
}

static void close_fake(void)
{
	vly_timers_close(fake.worker);
	vly_timers_end(fake.worker);
	vly_self_leave(&fake.worker->self);
	fake_server_close(&fake);
}

static void fire(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)worker, (void)timer, (void)arg;
	n_fired++;
}

static void fire_again(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)arg;
	n_fired++;
	cr_assert_eq(volley_worker_set_timer(worker, timer, 0, 0), 0);
}

static void set(struct volley_timer *timer, volley_timer_fn fn, uint64_t delay_ns)
{
	timer->fn = fn;
	cr_assert_eq(volley_worker_set_timer(fake.worker, timer, delay_ns, 0), 0);
}

/* Returns how many fired. */
static uint32_t turn(void)
{
	n_fired = 0;
	vly_timers_forget_now(fake.worker);
	vly_chores_run_timers(fake.worker);
	return n_fired;
}

Test(timers, a_turn_lets_256_fire_and_the_rest_asks_for_the_next, .init = open_fake,
     .fini = close_fake)
{
	cr_assert_not(vly_timers_has_any(fake.worker));
	cr_assert_not(vly_chores_has_any(fake.worker));
	cr_assert_eq(vly_chores_get_wait(fake.worker), -1);
	for (int i = 0; i < 600; i++)
		set(&timers[i], fire, 0);
	cr_assert_eq(vly_chores_get_wait(fake.worker), 0);
	cr_assert_eq(vly_chores_get_timeout(fake.worker), -1, "that is of others");
	cr_assert_eq(turn(), 256);
	cr_assert_eq(vly_chores_get_wait(fake.worker), 0);
	cr_assert_eq(turn(), 256);
	cr_assert_eq(turn(), 88);
	cr_assert_eq(turn(), 0);
	cr_assert_eq(vly_chores_get_wait(fake.worker), -1);
}

Test(timers, what_is_set_for_now_in_a_turn_waits_for_the_next, .init = open_fake,
     .fini = close_fake)
{
	for (int i = 0; i < 300; i++)
		set(&timers[i], fire_again, 0);
	for (int i = 0; i < 10; i++)
		cr_assert_leq(turn(), 256);
	cr_assert_eq(fake.worker->timers.wheel.n, 300);
	for (int i = 0; i < 299; i++)
		volley_worker_clear_timer(fake.worker, &timers[i]);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(turn(), 1);
}

Test(timers, the_wait_is_until_the_first_of_them, .init = open_fake, .fini = close_fake)
{
	int64_t ns;

	set(&timers[0], fire, UINT64_MAX);
	cr_assert_eq(vly_chores_get_wait(fake.worker), -1);
	set(&timers[1], fire, UINT64_C(5000000000));
	set(&timers[2], fire, UINT64_C(3000000000));
	ns = vly_chores_get_wait(fake.worker);
	cr_assert(ns <= 3000000000 && ns > 1000000000);
	timers[3].fn = fire;
	cr_assert_eq(volley_worker_set_timer(fake.worker, &timers[3], 0, UINT64_MAX), 0);
	cr_assert_gt(vly_chores_get_wait(fake.worker), 1000000000, "there is slack");
	cr_assert_eq(turn(), 1, "and a turn that comes anyway is taken");
	volley_worker_clear_timer(fake.worker, &timers[2]);
	ns = vly_chores_get_wait(fake.worker);
	cr_assert(ns <= 5000000000 && ns > 1000000000, "3 s, if both lay in one slot");
}

static void fire_and_end(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)worker, (void)timer, (void)arg;
	n_fired++;
	atomic_store(&fake.server->shared.command, VLY_COMMAND_STOP);
}

Test(timers, after_a_stop_none_fires_any_more, .init = open_fake, .fini = close_fake)
{
	for (int i = 0; i < 100; i++)
		set(&timers[i], fire_and_end, 0);
	cr_assert_eq(turn(), 1);
	cr_assert_eq(turn(), 0);
	vly_timers_close(fake.worker);
	for (int i = 0; i < 100; i++)
		cr_assert(is_zero(&timers[i]));
	vly_timers_run(fake.worker);
	cr_assert_eq(n_fired, 0);
	vly_timers_end(fake.worker);
	atomic_store(&fake.server->shared.command, VLY_COMMAND_RUN);
}

Test(timers, a_pass_has_one_time, .init = open_fake, .fini = close_fake)
{
	uint64_t now_ns = volley_worker_get_now_ns(fake.worker);

	while (vly_clock_get_ns() == now_ns)
		;
	cr_assert_eq(volley_worker_get_now_ns(fake.worker), now_ns);
	vly_timers_forget_now(fake.worker);
	cr_assert_gt(volley_worker_get_now_ns(fake.worker), now_ns);
	cr_assert_eq(volley_worker_get_now_ns(NULL), 0);
}

/* Who may ------------------------------------------------------------------------------------- */

Test(timers, what_cannot_be_set_is_refused, .init = open_fake, .fini = close_fake)
{
	struct volley_timer timer = { .fn = NULL };

	cr_assert_eq(volley_worker_set_timer(NULL, &timers[0], 0, 0), -EINVAL);
	cr_assert_eq(volley_worker_set_timer(fake.worker, NULL, 0, 0), -EINVAL);
	cr_assert_eq(volley_worker_set_timer(fake.worker, &timer, 0, 0), -EINVAL);
	cr_assert(is_zero(&timer));
	volley_worker_clear_timer(NULL, &timer);
	volley_worker_clear_timer(fake.worker, NULL);
}

static void *try_outside(void *arg)
{
	struct volley_timer timer = { .fn = fire };

	(void)arg;
	cr_assert_eq(volley_worker_set_timer(fake.worker, &timer, 0, 0), -EPERM);
	cr_assert(is_zero(&timer));
	volley_worker_clear_timer(fake.worker, &timers[0]);
	cr_assert_not(is_zero(&timers[0]), "nothing was done");
	cr_assert_gt(volley_worker_get_now_ns(fake.worker), 0);
	return NULL;
}

Test(timers, another_thread_may_not, .init = open_fake, .fini = close_fake)
{
	pthread_t thread;

	set(&timers[0], fire, UINT64_C(3600000000000));
	pthread_create(&thread, NULL, try_outside, NULL);
	pthread_join(thread, NULL);
}

static void try_in_handler(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	struct volley_timer timer = { .fn = fire };

	(void)packets, (void)n, (void)arg;
	cr_assert_eq(volley_worker_set_timer(worker, &timer, 0, 0), -EPERM);
	volley_worker_clear_timer(worker, &timers[0]);
	sem_post(&t.done);
}

static void begin_far(struct volley_worker *worker)
{
	timers[0] = (struct volley_timer){ .fn = fire };
	cr_assert_eq(volley_worker_set_timer(worker, &timers[0], 3600000 * MS, 0), 0);
}

Test(timers, a_handler_may_not)
{
	t.on_batch = try_in_handler;
	t.n_handlers = 1;
	t.begin = begin_far;
	open_way(WAY_EVENT);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &t.to, 1, 16);
	sem_wait(&t.done);
	cr_assert_not(is_zero(&timers[0]));
	close_way();
	cr_assert(is_zero(&timers[0]));
}

/* The thread of a caller's loop is the worker in its turns only. */
Test(timers, between_two_turns_nobody_may)
{
	struct volley_timer timer = { .fn = fire };

	t.begin = begin_far;
	open_way(WAY_FD);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(volley_worker_set_timer(&t.server->workers[0], &timer, 0, 0), -EPERM);
	close_way();
}

Test(timers, a_forked_child_may_not)
{
	int status;
	pid_t child;

	t.begin = begin_far;
	open_way(WAY_EVENT);
	cr_assert_eq(volley_server_start(t.server), 0);
	child = fork();
	if (child == 0) {
		int n_fds = loopback_n_fds();
		int r = volley_worker_set_timer(&t.server->workers[0], &timers[1], 0, 0);

		volley_worker_clear_timer(&t.server->workers[0], &timers[0]);
		if (r != -ESRCH || is_zero(&timers[0]))
			_exit(1);
		/* What the worker's thread had is lost here for good, and valgrind would say so. */
		if (getenv("VALGRIND") != NULL)
			_exit(0);
		_exit(volley_server_free(t.server) == 0 && loopback_n_fds() < n_fds ? 0 : 2);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	close_way();
}

static void fire_last(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)worker, (void)timer, (void)arg;
	finish();
}

static void fire_and_finish(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	fire(worker, timer, arg);
	finish();
}

/* libevent's callbacks on a worker's base are on its thread. */
static void on_event(evutil_socket_t fd, short what, void *worker)
{
	(void)fd, (void)what;
	timers[0] = (struct volley_timer){ .fn = fire_and_finish };
	cr_assert_eq(volley_worker_set_timer(worker, &timers[0], 0, 0), 0);
}

static void begin_event(struct volley_worker *worker)
{
	static const struct timeval soon = { .tv_usec = 1000 };

	event_base_once(volley_worker_get_event_base(worker), -1, EV_TIMEOUT, on_event, worker,
			&soon);
}

Test(timers, an_event_on_the_workers_base_may)
{
	play(WAY_EVENT, begin_event, NULL);
	cr_assert_eq(n_fired, 1);
}

/* Nothing for nothing -------------------------------------------------------------------------- */

static void begin_cleared(struct volley_worker *worker)
{
	timers[0] = (struct volley_timer){ .fn = fire };
	cr_assert_eq(volley_worker_set_timer(worker, &timers[0], 60 * MS, 0), 0);
}

static void begin_near_and_far(struct volley_worker *worker)
{
	begin_far(worker);
	timers[1] = (struct volley_timer){ .fn = fire };
	cr_assert_eq(volley_worker_set_timer(worker, &timers[1], MS, 0), 0);
}

static void clear(struct volley_worker *worker, void *arg)
{
	volley_worker_clear_timer(worker, &timers[0]);
	sem_post(arg);
}

/* Another thread starts the server, while the loop sleeps for as long as it was told before. */
Test(timers, a_loop_that_sleeps_hears_of_a_start_with_timers)
{
	struct pollfd fd = { .events = POLLIN };

	t.begin = begin_cleared;
	open_way(WAY_FD);
	fd.fd = volley_server_get_fd(t.server);
	cr_assert_eq(volley_server_get_timeout_ns(t.server), -1);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(poll(&fd, 1, 0), 1);
	cr_assert_eq(volley_server_process(t.server), 0);
	cr_assert_eq(poll(&fd, 1, 0), 0);
	cr_assert_geq(volley_server_get_timeout_ns(t.server), 0);
	close_way();
}

/* Behind a datagram, which is a wake and has them published. */
static uint64_t count_wakes(void)
{
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert(peer_ask(t.client, &t.to, 1));
	poll(NULL, 0, 20); /* the worker's way back to sleep */
	cr_assert_eq(volley_server_get_stats(t.server, &stats), 0);
	return stats.wakes;
}

/* One is far, or none is set any more, or one has fired and another is far: the worker sleeps. */
Test(timers, an_idle_worker_is_not_woken)
{
	static const part_fn begins[] = { NULL, begin_far, begin_cleared, begin_near_and_far };

	for (enum way way = WAY_EVENT; way <= WAY_BLOCK; way++)
		for (uint32_t i = 0; i < 4; i++) {
			uint64_t n_wakes;

			t.begin = begins[i];
			open_way(way);
			cr_assert_eq(volley_server_start(t.server), 0);
			if (i == 2) {
				cr_assert_eq(volley_server_post(t.server, clear, &t.done), 0);
				sem_wait(&t.done);
			}
			count_wakes(); /* and then the next one has those until now */
			n_wakes = count_wakes();
			poll(NULL, 0, 60);
			cr_assert_leq(count_wakes(), n_wakes + 1, "way %u, %u", way, i);
			close_way();
		}
	cr_assert_eq(n_fired, 2);
}

/* Refused ------------------------------------------------------------------------------------- */

static int expected, n_fds;
static enum fault_function refused;

static void begin_refused(struct volley_worker *worker)
{
	timers[0] = (struct volley_timer){ .fn = fire_last };
	n_fds = loopback_n_fds();
	fault_arm(refused, 1, expected);
	cr_assert_eq(volley_worker_set_timer(worker, &timers[0], 0, 0), -expected);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert(is_zero(&timers[0]));
	cr_assert_eq(loopback_n_fds(), n_fds);
	cr_assert_eq(volley_worker_set_timer(worker, &timers[0], MS, 0), 0);
}

Test(timers, without_a_descriptor_setting_fails_and_may_be_tried_again)
{
	static const struct {
		enum fault_function function;
		int error;
	} faults[] = { { FAULT_TIMERFD_CREATE, EMFILE },
		       { FAULT_TIMERFD_SETTIME, EPERM },
		       { FAULT_EVENT_NEW, ENOMEM },
		       { FAULT_EVENT_ADD, ENOMEM } };

	for (uint32_t i = 0; i < 4; i++) {
		refused = faults[i].function;
		expected = faults[i].error;
		play(WAY_EVENT, begin_refused, NULL);
		play(WAY_BASE, begin_refused, NULL);
	}
}

static int refuse_settime(enum fault_function function, const void *site, long detail)
{
	(void)site, (void)detail;
	return function == FAULT_TIMERFD_SETTIME ? EPERM : 0;
}

static void begin_refused_later(struct volley_worker *worker)
{
	timers[0] = (struct volley_timer){ .fn = fire };
	timers[1] = (struct volley_timer){ .fn = fire_last };
	for (uint64_t i = 0; i < 2; i++)
		cr_assert_eq(volley_worker_set_timer(worker, &timers[i], (3 + 30 * i) * MS, 0), 0);
	fault_set_judge(refuse_settime);
}

/* A filter that came later: the loop's own timer does it, to the millisecond. */
Test(timers, when_the_kernel_refuses_later_they_fire_all_the_same)
{
	play(WAY_EVENT, begin_refused_later, NULL);
	fault_set_judge(NULL);
	play(WAY_BASE, begin_refused_later, NULL);
	cr_assert_eq(n_fired, 2);
}
