/* SPDX-License-Identifier: MIT */

/*
 * volley_server_stop() stops the workers at once, also while run is in on_signal, where it hears
 * nothing: no callback begins any more but the one that runs. What it waits for then is the hook.
 */

#include <semaphore.h>

#include "bounds.h"

enum { N_EACH = 200, CALLBACK_US = 10000 };

static struct volley_server *server;
static sem_t hook_began, hook_may_end, worker_ended;

static void on_signal(struct volley_server *of, int signo, void *arg)
{
	(void)of, (void)signo, (void)arg;
	sem_post(&hook_began);
	sem_wait(&hook_may_end);
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	sem_post(&worker_ended);
}

static void *run(void *arg)
{
	CHECK_EQ(volley_server_run(server), 0);
	return arg;
}

static void *stop(void *arg)
{
	atomic_bool *has_ended = arg;

	CHECK_EQ(volley_server_stop(server), 0);
	atomic_store(has_ended, true);
	return NULL;
}

static void try_one(uint32_t wait, uint32_t n_handlers)
{
	atomic_bool has_ended = false;
	pthread_t runner, stopper;
	unsigned int n_before;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* for the threads: it is run's */
	server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = n_handlers, .wait = wait,
					   .run_signals = VOLLEY_SIGNAL(SIGHUP),
					   .on_signal = on_signal, .on_stop = on_stop),
			     1, N_EACH, CALLBACK_US);
	REQUIRE(pthread_create(&runner, NULL, run, NULL) == 0);
	bounds_await_calls(1);
	kill(getpid(), SIGHUP);
	sem_wait(&hook_began);
	n_before = atomic_load(&bounds_n_calls);
	REQUIRE(pthread_create(&stopper, NULL, stop, &has_ended) == 0);
	sem_wait(&worker_ended);
	CHECK(atomic_load(&bounds_n_calls) <= n_before + 10); /* of 200 */
	CHECK(!atomic_load(&has_ended));
	sem_post(&hook_may_end);
	pthread_join(stopper, NULL);
	pthread_join(runner, NULL);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(10);
	sem_init(&hook_began, 0, 0);
	sem_init(&hook_may_end, 0, 0);
	sem_init(&worker_ended, 0, 0);
	try_one(VOLLEY_WAIT_EVENT, 0);
	try_one(VOLLEY_WAIT_BLOCK, 0);
	try_one(VOLLEY_WAIT_SPIN, 0);
	try_one(VOLLEY_WAIT_EVENT, 2);
	return check_done();
}
