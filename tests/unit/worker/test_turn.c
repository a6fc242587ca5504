/* SPDX-License-Identifier: MIT */

/*
 * A worker without a thread: whoever calls process has the turn. Posts and requests to stop from
 * elsewhere wake it, and every other call has its documented result before, meanwhile and after.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include <volley/send.h>

#include "lib/listeners.h"
#include "own_loop.h"
#include "server/state.h"

TestSuite(turn, .timeout = 60);

/* Posts ---------------------------------------------------------------------------------------- */

static void posted(struct volley_worker *worker, void *arg)
{
	cr_assert_eq(volley_worker_get_server(worker), t.server);
	cr_assert_null(volley_worker_get_event_base(worker));
	cr_assert_eq(arg, &t);
	t.n_posts++;
}

static void *post(void *arg)
{
	(void)arg;
	cr_assert_eq(volley_server_post(t.server, posted, &t), 0);
	return NULL;
}

Test(turn, a_post_from_another_thread_wakes_it)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_post(t.server, posted, &t), -ESHUTDOWN);
	cr_assert_eq(volley_server_start(t.server), 0);
	for (int i = 0; i < 10; i++) {
		pthread_t thread;

		expect_idle();
		pthread_create(&thread, NULL, post, NULL);
		cr_assert(wakes(1000));
		pthread_join(thread, NULL);
		cr_assert_eq(t.n_posts, i);
		cr_assert_eq(volley_server_process(t.server), 0);
		cr_assert_eq(t.n_posts, i + 1);
	}
	expect_idle();
	close_server();
}

/* As a timer does that stands beside us in the caller's loop. */
Test(turn, a_send_between_two_turns_wakes_it)
{
	uint8_t buf[8];
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	for (int i = 0; i < 3; i++) {
		expect_idle();
		cr_assert_eq(volley_worker_send(
				     t.server->workers,
				     listener_at(volley_worker_get_server(t.server->workers), 0),
				     &addr, "tick", 4, NULL),
			     0);
		cr_assert(wakes(0));
		cr_assert_eq(volley_server_get_timeout_ns(t.server), 0);
		cr_assert_eq(volley_server_process(t.server), 0);
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 4);
	}
	expect_idle();
	close_server();
	close(fd);
}

static struct volley_addr late_addr;

static void *send_late(void *arg)
{
	(void)arg;
	cr_assert_eq(volley_worker_send(t.server->workers,
					listener_at(volley_worker_get_server(t.server->workers), 0),
					&late_addr, "1", 1, NULL),
		     0);
	return NULL;
}

/* It would wait for our turn, and we wait for it. */
static void have_it_sent(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			 void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, send_late, NULL);
	pthread_join(thread, NULL);
	peer_echo(worker, packets, n, arg);
}

static void expect_text(int fd, const char *text)
{
	for (; *text != 0; text++) {
		char got = 0;

		cr_assert_eq(loopback_recv(fd, (uint8_t *)&got, 1, NULL), 1);
		cr_assert_eq(got, *text);
	}
}

Test(turn, a_send_that_missed_the_turn_leaves_before_the_next_ones)
{
	int fd = loopback_open("127.0.0.1:0", &late_addr);

	open_server(VOLLEY_CONFIG(.n_workers = 1), have_it_sent);
	cr_assert_eq(volley_server_start(t.server), 0);
	for (int i = 0; i < 3; i++) {
		struct volley_worker *worker = t.server->workers;

		loopback_send(t.client, &t.to, 1, 16);
		cr_assert(wakes(1000));
		cr_assert_eq(volley_server_process(t.server), 1);
		expect_echo(1);
		cr_assert(wakes(0));
		cr_assert_eq(volley_server_get_timeout_ns(t.server), 0);
		cr_assert_eq(volley_worker_send(worker,
						listener_at(volley_worker_get_server(worker), 0),
						&late_addr, "2", 1, NULL),
			     0);
		cr_assert_eq(volley_worker_send(worker,
						listener_at(volley_worker_get_server(worker), 0),
						&late_addr, "3", 1, NULL),
			     0);
		cr_assert_eq(volley_server_process(t.server), 0);
		expect_text(fd, "123");
		expect_idle();
		cr_assert_eq(volley_worker_send(worker,
						listener_at(volley_worker_get_server(worker), 0),
						&late_addr, "4", 1, NULL),
			     0);
		cr_assert_eq(volley_server_process(t.server), 0);
		expect_text(fd, "4");
		expect_idle();
	}
	close_server();
	close(fd);
}

/* It would stay there until the next start, and leave by a listener of another time. */
Test(turn, nothing_is_taken_while_it_does_not_run)
{
	struct volley_worker *worker;
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	worker = t.server->workers;
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					&addr, "tick", 4, NULL),
		     -ESHUTDOWN);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					&addr, "tick", 4, NULL),
		     0);
	cr_assert_eq(volley_server_stop(t.server), 0);
	cr_assert_eq(loopback_wait(fd), 1, "a stop sends what was taken");
	cr_assert_eq(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
					&addr, "tick", 4, NULL),
		     -ESHUTDOWN);
	close_server();
	close(fd);
}

static void post_and_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	cr_assert_eq(volley_server_post(t.server, posted, &t), 0);
	peer_echo(worker, packets, n, arg);
}

Test(turn, a_post_from_its_own_callback_wakes_it_again)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), post_and_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), 1);
	cr_assert_eq(t.n_posts, 0);
	cr_assert(wakes(0));
	cr_assert_eq(volley_server_process(t.server), 0);
	cr_assert_eq(t.n_posts, 1);
	expect_idle();
	close_server();
}

Test(turn, what_was_posted_runs_although_it_stops)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(volley_server_post(t.server, posted, &t), 0);
	cr_assert_eq(volley_server_stop(t.server), 0);
	cr_assert_eq(t.n_posts, 1);
	close_server();
}

/* Stopping ------------------------------------------------------------------------------------- */

Test(turn, a_request_to_stop_is_obeyed_by_process)
{
	int fd;

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	fd = volley_server_get_fd(t.server);
	cr_assert_eq(volley_server_request_stop(t.server), 0, "also when nothing runs");
	for (int i = 1; i <= 3; i++) {
		cr_assert_eq(volley_server_start(t.server), 0);
		loopback_send(t.client, &t.to, 1, 16);
		cr_assert(wakes(1000));
		while (volley_server_process(t.server) == 0)
			continue; /* a wake that was meant for the life before */
		expect_echo(1);
		cr_assert_eq(volley_server_request_stop(t.server), 0);
		cr_assert(wakes(0));
		cr_assert_eq(t.n_stops, i - 1);
		cr_assert_eq(volley_server_process(t.server), -ESHUTDOWN);
		cr_assert_eq(t.n_stops, i);
		expect_idle();
		cr_assert_eq(volley_server_process(t.server), -ESHUTDOWN);
		cr_assert_eq(volley_server_post(t.server, posted, &t), -ESHUTDOWN);
		cr_assert_eq(volley_server_start(t.server), -EALREADY, "nobody has joined it");
		cr_assert_eq(volley_server_stop(t.server), 0);
		cr_assert_eq(t.n_stops, i);
		cr_assert_eq(volley_server_get_fd(t.server), fd, "the same all its life");
	}
	close_server();
}

Test(turn, stop_keeps_what_is_queued_and_drain_serves_it)
{
	struct volley_stats stats = { .size = sizeof stats };

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert_eq(volley_server_stop(t.server), 0);
	expect_idle();
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert(wakes(0));
	loopback_send(t.client, &t.to, 2, 16);
	cr_assert_eq(volley_server_drain(t.server), 0);
	expect_echo(1);
	expect_echo(2);
	expect_idle();
	cr_assert_eq(volley_server_get_stats(t.server, &stats), 0);
	cr_assert_eq(stats.delivered, 2);
	close_server();
}

static void call_everything(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	struct volley_stats stats = { .size = sizeof stats };

	t.n_calls++;
	cr_assert_eq(volley_server_process(t.server), -EDEADLK);
	cr_assert_eq(volley_server_get_timeout_ns(t.server), -1);
	cr_assert_geq(volley_server_get_fd(t.server), 0);
	cr_assert_lt(volley_server_listen(t.server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		     0);
	cr_assert_eq(volley_server_start(t.server), -EALREADY);
	cr_assert_eq(volley_server_run(t.server), -EINVAL);
	cr_assert_eq(volley_server_stop(t.server), -EDEADLK);
	cr_assert_eq(volley_server_drain(t.server), -EDEADLK);
	cr_assert_eq(volley_server_close(t.server), -EDEADLK);
	cr_assert_eq(volley_server_free(t.server), -EDEADLK);
	cr_assert_eq(volley_server_get_stats(t.server, &stats), 0);
	peer_echo(worker, packets, n, arg);
}

Test(turn, callbacks_may_call_everything)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), call_everything);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), 1);
	cr_assert_eq(t.n_calls, 1);
	expect_echo(1);
	close_server();
}

static void *ask(void *arg)
{
	int64_t *ret_ns = arg;

	*ret_ns = volley_server_get_timeout_ns(t.server);
	return NULL;
}

/* Another thread asks while we have the turn; it would wait for us, and we for it. */
static void ask_elsewhere(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	pthread_t thread;
	int64_t ns = -1;

	pthread_create(&thread, NULL, ask, &ns);
	pthread_join(thread, NULL);
	cr_assert_eq(ns, 0);
	peer_echo(worker, packets, n, arg);
}

Test(turn, the_timeout_is_told_without_the_turn)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), ask_elsewhere);
	cr_assert_eq(volley_server_start(t.server), 0);
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert(wakes(1000));
	cr_assert_eq(volley_server_process(t.server), 1);
	expect_echo(1);
	expect_idle();
	close_server();
}

Test(turn, every_call_has_a_result_in_every_state)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *threaded;

	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	cr_assert_eq(volley_server_process(t.server), -ESHUTDOWN, "not started");
	expect_idle();
	cr_assert_eq(volley_server_stop(t.server), 0);
	cr_assert_eq(volley_server_drain(t.server), 0);
	cr_assert_eq(volley_server_run(t.server), -EINVAL);
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert_eq(volley_server_start(t.server), -EALREADY);
	cr_assert_eq(volley_server_run(t.server), -EINVAL);
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert_eq(volley_server_close(t.server), 0);
	cr_assert_eq(volley_server_get_stats(t.server, &stats), 0);
	cr_assert_eq(stats.discarded_at_close, 1);
	cr_assert_eq(volley_server_process(t.server), -ESHUTDOWN, "closed");
	expect_idle();
	cr_assert_eq(volley_server_start(t.server), -ENOTCONN);
	close_server();

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &threaded), 0);
	cr_assert_eq(volley_server_process(threaded), -EINVAL);
	cr_assert_eq(volley_server_get_fd(threaded), -EINVAL);
	cr_assert_eq(volley_server_get_timeout_ns(threaded), -1);
	volley_server_free(threaded);
}

Test(turn, a_failing_hook_fails_the_start)
{
	open_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo);
	t.result = -EXDEV;
	loopback_send(t.client, &t.to, 1, 16);
	cr_assert_eq(volley_server_start(t.server), -EXDEV);
	expect_idle();
	cr_assert_eq(volley_server_process(t.server), -ESHUTDOWN);
	cr_assert_eq(t.n_stops, 0);
	t.n_starts = 0;
	t.result = 0;
	cr_assert_eq(volley_server_start(t.server), 0);
	cr_assert(wakes(0));
	cr_assert_eq(volley_server_process(t.server), 1);
	expect_echo(1);
	close_server();
}
