/* SPDX-License-Identifier: MIT */

/*
 * volley_server_run(): signals, requests to stop from everywhere, and that the caller's mask is
 * what it was.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/worker.h"
#include "server/state.h"

static struct {
	struct volley_server *server;
	pthread_t runner;
	int signo;     /* what on_start raises */
	bool in_start; /* whether it does */
	sem_t started;
	atomic_uint n_signals;
	int r[5];
	char log[512];
} run;

TestSuite(run, .timeout = 60);

static int on_start(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	if (run.in_start)
		kill(getpid(), run.signo);
	sem_post(&run.started);
	return 0;
}

static void on_signal(struct volley_server *server, int signo, void *arg)
{
	(void)arg;
	run.signo = signo;
	run.r[0] = volley_server_stop(server);
	run.r[1] = volley_server_run(server);
	run.r[2] = volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = peer_echo),
					NULL);
	atomic_fetch_add(&run.n_signals, 1);
	volley_server_request_stop(server);
}

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	snprintf(run.log, sizeof run.log, "%s", text);
}

static struct volley_addr open_server(uint32_t n_workers)
{
	struct volley_addr to;

	sem_init(&run.started, 0, 0);
	run.runner = pthread_self();
	run.server = peer_server(VOLLEY_CONFIG(.n_workers = n_workers, .on_start = on_start,
					       .run_signals = VOLLEY_SIGNAL(SIGUSR2),
					       .on_signal = on_signal, .log = on_log),
				 peer_echo, NULL, &to);
	return to;
}

/* run() returns 0, and the mask is what it was. */
static void expect_run(int r)
{
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	cr_assert_eq(volley_server_run(run.server), r);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int signo = 1; signo < 64; signo++)
		cr_assert_eq(sigismember(&before, signo), sigismember(&after, signo));
	cr_assert_null(ledger_find_server_fault(run.server));
}

Test(run, sigterm_and_sigint_end_it)
{
	open_server(2);
	run.in_start = true;
	for (int i = 0; i < 4; i++) {
		run.signo = i % 2 ? SIGTERM : SIGINT;
		expect_run(0);
	}
	cr_assert_eq(volley_server_free(run.server), 0);
}

Test(run, other_signals_go_to_the_hook)
{
	open_server(1);
	run.in_start = true;
	run.signo = SIGUSR2;
	expect_run(0);
	cr_assert_eq(atomic_load(&run.n_signals), 1);
	cr_assert_eq(run.signo, SIGUSR2);
	cr_assert_eq(run.r[0], -EDEADLK);
	cr_assert_eq(run.r[1], -EALREADY);
	cr_assert_eq(run.r[2], 0, "a signal is when listeners are changed");
	volley_server_free(run.server);
}

static void *request(void *arg)
{
	(void)arg;
	sem_wait(&run.started);
	run.r[0] = volley_server_request_stop(run.server);
	return NULL;
}

Test(run, another_thread_may_ask)
{
	pthread_t thread;

	open_server(1);
	for (int i = 0; i < 20; i++) {
		pthread_create(&thread, NULL, request, NULL);
		expect_run(0);
		pthread_join(thread, NULL);
		cr_assert_eq(run.r[0], 0);
	}
	volley_server_free(run.server);
}

static void *look_around(void *arg)
{
	(void)arg;
	sem_wait(&run.started);
	run.r[0] = volley_server_run(run.server);
	run.r[1] = volley_server_start(run.server);
	run.r[2] = volley_server_listen(run.server, "127.0.0.1:0",
					VOLLEY_LISTEN(.on_batch = peer_echo), NULL);
	run.r[4] = volley_listener_close(run.server, listener_at(run.server, 1));
	run.r[3] = volley_server_stop(run.server);
	return NULL;
}

Test(run, others_are_told_and_stop_ends_it)
{
	pthread_t thread;

	open_server(1);
	for (int i = 0; i < 20; i++) {
		pthread_create(&thread, NULL, look_around, NULL);
		expect_run(0);
		pthread_join(thread, NULL);
		cr_assert_eq(run.r[0], -EALREADY);
		cr_assert_eq(run.r[1], -EALREADY);
		cr_assert_eq(run.r[2], 0, "listeners come and go while it serves");
		cr_assert_eq(run.r[4], 0);
		cr_assert_eq(run.r[3], 0);
	}
	volley_server_free(run.server);
}

static void *drain(void *arg)
{
	(void)arg;
	while (atomic_load(&run.server->run) == VLY_RUN_NOBODY)
		sched_yield();
	run.r[0] = volley_server_drain(run.server);
	return NULL;
}

Test(run, a_server_that_runs_already_is_served_on)
{
	struct volley_addr to = open_server(1);
	int fd = loopback_open("127.0.0.1:0", NULL);
	pthread_t thread;

	cr_assert_eq(volley_server_start(run.server), 0);
	cr_assert(peer_ask(fd, &to, 3));
	pthread_create(&thread, NULL, drain, NULL);
	expect_run(0);
	pthread_join(thread, NULL);
	cr_assert_eq(run.r[0], 0);
	volley_server_free(run.server);
	close(fd);
}

/* A request before run is no request: nobody ran. */
Test(run, an_old_request_does_not_end_a_new_run)
{
	pthread_t thread;

	open_server(1);
	volley_server_request_stop(run.server);
	pthread_create(&thread, NULL, look_around, NULL);
	expect_run(0);
	pthread_join(thread, NULL);
	cr_assert_eq(run.r[3], 0);
	cr_assert_eq(run.r[0], -EALREADY, "it was still running then");
	volley_server_free(run.server);
}

static void handler(int signo)
{
	(void)signo;
	volley_server_request_stop(run.server);
}

static int signal_runner(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	pthread_kill(run.runner, SIGUSR1);
	return 0;
}

Test(run, a_signal_handler_may_ask)
{
	struct sigaction action = { .sa_handler = handler };

	sigaction(SIGUSR1, &action, NULL);
	open_server(1);
	run.server->shared.config.on_start = signal_runner;
	for (int i = 0; i < 20; i++)
		expect_run(0);
	/* And without run: the workers stop by themselves. */
	run.server->shared.config.on_start = on_start;
	cr_assert_eq(volley_server_start(run.server), 0);
	raise(SIGUSR1);
	while (vly_self_is_taken(&run.server->workers[0].self))
		sched_yield();
	expect_run(0);
	volley_server_free(run.server);
}

/*
 * The first signal drains; the second, which comes while the drain serves, stops. Two datagrams of
 * three are served, and the log says so.
 */
static void signal_and_wait(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	static const struct {
		int signo;
		uint32_t command;
	} steps[] = { { SIGTERM, VLY_COMMAND_DRAIN }, { SIGINT, VLY_COMMAND_STOP } };
	static uint32_t n_calls;

	(void)packets, (void)n, (void)arg;
	if (n_calls < 2) {
		kill(getpid(), steps[n_calls].signo);
		while (atomic_load(&worker->shared->command) != steps[n_calls].command)
			sched_yield();
		n_calls++;
	}
}

Test(run, a_second_signal_stops_at_once)
{
	struct volley_stats stats = { .size = sizeof stats };
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct volley_addr to;

	run.server = peer_server(VOLLEY_CONFIG(.n_workers = 1, .n_batch = 1, .n_budget = 1,
					       .drain_us = 60000000, .log = on_log),
				 signal_and_wait, NULL, &to);
	for (int i = 0; i < 3; i++)
		loopback_send(fd, &to, 1, 8);
	expect_run(0);
	cr_assert_not_null(strstr(run.log, "discarded_at_close"));
	cr_assert_eq(volley_server_close(run.server), 0);
	cr_assert_eq(volley_server_get_stats(run.server, &stats), 0);
	cr_assert_eq(stats.delivered, 2);
	cr_assert_eq(stats.discarded_at_close, 1);
	volley_server_free(run.server);
	close(fd);
}

/*
 * However late the second signal comes, it does not kill the process that is shutting down: here
 * run looks at its descriptors no more when it comes.
 */
static void signal_again(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	fault_arm_from(FAULT_POLL, 1, EINTR);
	kill(getpid(), SIGTERM);
}

Test(run, a_late_signal_does_not_kill)
{
	open_server(1);
	run.in_start = true;
	run.signo = SIGTERM;
	run.server->shared.config.on_stop = signal_again;
	expect_run(0);
	fault_disarm();
	volley_server_free(run.server);
}

/*
 * Stops come again and again: one that comes before the run has nothing to end, the others do. None
 * may wait for a run that nobody has told to end.
 */
static void *keep_stopping(void *done)
{
	while (!atomic_load((atomic_bool *)done))
		if (volley_server_stop(run.server) < 0)
			return NULL;
	return done;
}

Test(run, stop_meets_run)
{
	open_server(1);
	for (int i = 0; i < 500; i++) {
		atomic_bool done = false;
		pthread_t thread;
		void *r;

		pthread_create(&thread, NULL, keep_stopping, &done);
		expect_run(0);
		atomic_store(&done, true);
		pthread_join(thread, &r);
		cr_assert_not_null(r);
	}
	volley_server_free(run.server);
}

Test(run, without_a_signalfd_nothing_starts)
{
	int n_fds = loopback_n_fds();

	open_server(1);
	fault_arm(FAULT_SIGNALFD, 1, EMFILE);
	expect_run(-EMFILE);
	cr_assert_eq(fault_disarm(), 1);
	run.in_start = true;
	run.signo = SIGTERM;
	expect_run(0);
	volley_server_free(run.server);
	cr_assert_eq(loopback_n_fds(), n_fds);
}

Test(run, interrupted_polls_are_repeated)
{
	open_server(1);
	run.in_start = true;
	run.signo = SIGTERM;
	fault_arm(FAULT_POLL, 1, EINTR);
	expect_run(0);
	cr_assert_eq(fault_disarm(), 1);
	volley_server_free(run.server);
}
