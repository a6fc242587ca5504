/* SPDX-License-Identifier: MIT */

/* A worker's thread: its hooks, which come in pairs, and the CPU that it runs on. */

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib/lifetime.h"

TestSuite(worker_thread, .init = count_fds, .fini = compare_fds, .timeout = 60);

static void do_nothing(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
}

static struct {
	atomic_uint n_started;
	atomic_uint n_stopped;
	uint32_t failing; /* which worker's on_start fails */
	int error;
	bool request_stop;
} hooks;

static int on_start(struct volley_worker *worker, void *arg)
{
	cr_assert_eq(arg, &hooks);
	if (volley_worker_get_index(worker) == hooks.failing)
		return hooks.error;
	if (hooks.request_stop && volley_worker_get_index(worker) == 0)
		volley_server_request_stop(volley_worker_get_server(worker));
	volley_worker_set_data(worker, &hooks);
	atomic_fetch_add(&hooks.n_started, 1);
	return 0;
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	cr_assert_eq(arg, &hooks);
	cr_assert_eq(volley_worker_get_data(worker), &hooks);
	cr_assert_eq(volley_server_stop(volley_worker_get_server(worker)), -EDEADLK);
	cr_assert_eq(volley_server_post(volley_worker_get_server(worker), do_nothing, NULL),
		     -ESHUTDOWN);
	atomic_fetch_add(&hooks.n_stopped, 1);
}

static struct volley_server *new_hooked(uint32_t n_workers, uint32_t wait)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = n_workers, .wait = wait,
						     .on_start = on_start, .on_stop = on_stop,
						     .arg = &hooks),
				       &server),
		     0);
	cr_assert_eq(listen_once(server), 0);
	return server;
}

Test(worker_thread, on_start_failing_in_any_worker_fails_the_start)
{
	struct volley_server *server = new_hooked(3, VOLLEY_WAIT_EVENT);

	hooks.error = -EPROTO;
	for (hooks.failing = 0; hooks.failing < 3; hooks.failing++) {
		atomic_store(&hooks.n_started, 0);
		atomic_store(&hooks.n_stopped, 0);
		cr_assert_eq(volley_server_start(server), -EPROTO);
		cr_assert_eq(atomic_load(&hooks.n_started), 2);
		cr_assert_eq(atomic_load(&hooks.n_stopped), 2, "once for each successful start");
		cr_assert_eq(volley_server_post(server, do_nothing, NULL), -ESHUTDOWN);
		cr_assert_eq(volley_server_run(server), -EPROTO);
	}
	cr_assert_eq(start_and_ask(server), 0, "a later start works");
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
}

Test(worker_thread, hooks_come_in_pairs_in_every_round)
{
	for (uint32_t wait = VOLLEY_WAIT_EVENT; wait <= VOLLEY_WAIT_SPIN; wait++) {
		struct volley_server *server = new_hooked(2, wait);

		hooks.failing = UINT32_MAX;
		atomic_store(&hooks.n_started, 0);
		atomic_store(&hooks.n_stopped, 0);
		for (unsigned int round = 1; round <= 3; round++) {
			cr_assert_eq(start_and_ask(server), 0);
			cr_assert_eq(atomic_load(&hooks.n_started), 2 * round);
			cr_assert_eq(volley_server_stop(server), 0);
			cr_assert_eq(atomic_load(&hooks.n_stopped), 2 * round);
		}
		volley_server_free(server);
	}
}

/* A stop asked for while threads are still being made is for all of them. */
Test(worker_thread, request_stop_in_on_start_stops_every_worker)
{
	struct volley_server *server = new_hooked(4, VOLLEY_WAIT_EVENT);

	hooks.failing = UINT32_MAX;
	hooks.request_stop = true;
	for (int round = 0; round < 20; round++) {
		cr_assert_eq(volley_server_start(server), 0);
		wait_left(server);
		cr_assert_eq(volley_server_stop(server), 0);
	}
	volley_server_free(server);
}

/* Each worker says which CPUs it may use: room for the reply is the config's arg. */
static int note_cpus(struct volley_worker *worker, void *arg)
{
	cpu_set_t *sets = arg;

	return sched_getaffinity(0, sizeof *sets, &sets[volley_worker_get_index(worker)]) < 0
		       ? -EINVAL
		       : 0;
}

Test(worker_thread, pinned_workers_have_one_cpu_each)
{
	cpu_set_t sets[3];
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 3, .flags = VOLLEY_SERVER_PIN, .on_start = note_cpus,
			      .arg = sets),
		peer_echo, NULL, &to);
	cpu_set_t all, used;

	CPU_ZERO(&used);
	cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
	cr_assert_eq(volley_server_start(server), 0);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(CPU_COUNT(&sets[i]), 1);
		CPU_OR(&used, &used, &sets[i]);
	}
	CPU_AND(&sets[0], &used, &all);
	cr_assert(CPU_EQUAL(&sets[0], &used), "only CPUs of ours");
	cr_assert_eq(CPU_COUNT(&used), CPU_COUNT(&all) < 3 ? CPU_COUNT(&all) : 3);
	volley_server_free(server);
}
