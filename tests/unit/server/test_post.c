/* SPDX-License-Identifier: MIT */

/* Posted functions: once on each worker and on its thread, or refused, whatever comes meanwhile. */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/worker.h"
#include "server/state.h"

TestSuite(post, .timeout = 60);

static struct {
	atomic_uint n_ran;
	atomic_uint n_accepted;
	atomic_uint mask;
	atomic_uint n_wrong;
	sem_t ran;
} posts;

static void ran(struct volley_worker *worker, void *arg)
{
	(void)arg;
	if (!vly_self_is_me(&worker->self))
		atomic_fetch_add(&posts.n_wrong, 1);
	atomic_fetch_or(&posts.mask, 1u << volley_worker_get_index(worker));
	atomic_fetch_add(&posts.n_ran, 1);
	sem_post(&posts.ran);
}

Test(post, a_post_wakes_every_worker_and_runs_on_its_thread)
{
	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 3,
									 .wait = peer_ways[i].wait,
									 .io = peer_ways[i].io),
							   peer_echo, NULL, &to);

		sem_init(&posts.ran, 0, 0);
		atomic_store(&posts.n_ran, 0);
		cr_assert_eq(volley_server_start(server), 0);
		for (unsigned int round = 1; round <= 50; round++) {
			atomic_store(&posts.mask, 0);
			cr_assert_eq(volley_server_post(server, ran, NULL), 0);
			for (int k = 0; k < 3; k++)
				sem_wait(&posts.ran);
			cr_assert_eq(atomic_load(&posts.mask), 7);
			cr_assert_eq(atomic_load(&posts.n_ran), 3 * round);
		}
		cr_assert_eq(atomic_load(&posts.n_wrong), 0);
		volley_server_free(server);
	}
}

static void post_again(struct volley_worker *worker, void *arg)
{
	ran(worker, arg);
	if (volley_server_post(volley_worker_get_server(worker), ran, arg) == 0)
		atomic_fetch_add(&posts.n_accepted, 1);
}

static void post_from_callback(struct volley_worker *worker, struct volley_packet *packets,
			       size_t n, void *arg)
{
	if (volley_server_post(volley_worker_get_server(worker), post_again, NULL) == 0)
		atomic_fetch_add(&posts.n_accepted, 1);
	peer_echo(worker, packets, n, arg);
}

Test(post, a_worker_may_post)
{
	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		int fd = loopback_open("127.0.0.1:0", NULL);
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 1,
									 .wait = peer_ways[i].wait,
									 .io = peer_ways[i].io),
							   post_from_callback, NULL, &to);

		sem_init(&posts.ran, 0, 0);
		atomic_store(&posts.n_ran, 0);
		atomic_store(&posts.n_accepted, 0);
		cr_assert_eq(volley_server_start(server), 0);
		cr_assert(peer_ask(fd, &to, 1));
		sem_wait(&posts.ran);
		sem_wait(&posts.ran);
		cr_assert_eq(volley_server_stop(server), 0);
		cr_assert_eq(atomic_load(&posts.n_ran), 2);
		cr_assert_eq(atomic_load(&posts.n_accepted), 2);
		volley_server_free(server);
		close(fd);
	}
}

static void note(struct volley_worker *worker, void *arg)
{
	uint8_t *order = volley_worker_get_data(worker);

	order[order[0]++] = (uint8_t)(uintptr_t)arg;
	ran(worker, NULL);
}

/* Those for one worker and those for all are one line. */
Test(post, a_post_to_one_worker_runs_there_and_in_order)
{
	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		uint8_t order[2][16] = { { 1 }, { 1 } };
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2,
									 .wait = peer_ways[i].wait,
									 .io = peer_ways[i].io),
							   peer_echo, NULL, &to);

		sem_init(&posts.ran, 0, 0);
		for (int k = 0; k < 2; k++)
			server->workers[k].data = order[k];
		cr_assert_eq(volley_server_post_to(server, 0, ran, NULL), -ESHUTDOWN);
		cr_assert_eq(volley_server_start(server), 0);
		cr_assert_eq(volley_server_post_to(server, 1, note, (void *)1), 0);
		cr_assert_eq(volley_server_post(server, note, (void *)2), 0);
		cr_assert_eq(volley_server_post_to(server, 1, note, (void *)3), 0);
		cr_assert_eq(volley_server_post_to(server, 0, note, (void *)4), 0);
		for (int k = 0; k < 5; k++)
			sem_wait(&posts.ran);
		cr_assert_eq(volley_server_stop(server), 0);
		cr_assert_arr_eq(order[0], ((uint8_t[4]){ 3, 2, 4 }), 4);
		cr_assert_arr_eq(order[1], ((uint8_t[5]){ 4, 1, 2, 3 }), 5);
		cr_assert_eq(volley_server_post_to(server, 0, ran, NULL), -ESHUTDOWN);
		cr_assert_eq(atomic_load(&posts.n_wrong), 0);
		volley_server_free(server);
	}
}

static uint32_t n_said;

static void say(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)text, (void)arg;
	n_said++;
}

Test(post, a_post_to_nobody_is_refused)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2, .log = say),
						   peer_echo, NULL, &to);

	cr_assert_eq(volley_server_start(server), 0);
	n_said = 0;
	cr_assert_eq(volley_server_post_to(NULL, 0, ran, NULL), -EINVAL);
	cr_assert_eq(volley_server_post_to(server, 2, ran, NULL), -EINVAL);
	cr_assert_eq(volley_server_post_to(server, UINT32_MAX, ran, NULL), -EINVAL);
	cr_assert_eq(volley_server_post_to(server, 1, NULL, NULL), -EINVAL);
	cr_assert_eq(n_said, 3);
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(volley_server_post_to(server, 1, ran, NULL), -ENOMEM);
	fault_disarm();
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(atomic_load(&posts.n_ran), 0);
	volley_server_free(server);
}

static void *post_until_refused(void *arg)
{
	struct volley_server *server = arg;
	int r;

	while ((r = volley_server_post(server, ran, NULL)) == 0)
		atomic_fetch_add(&posts.n_accepted, 1);
	return (void *)(intptr_t)r;
}

Test(post, a_post_during_a_stop_runs_once_on_each_worker_or_is_refused)
{
	sem_init(&posts.ran, 0, 0);
	for (size_t i = 0; i < 5 * PEER_N_WAYS; i++) {
		const struct peer_way *way = &peer_ways[i % PEER_N_WAYS];
		struct volley_addr to;
		struct volley_server *server = peer_server(
			VOLLEY_CONFIG(.n_workers = 2, .wait = way->wait, .io = way->io), peer_echo,
			NULL, &to);
		pthread_t threads[2];
		void *r;

		atomic_store(&posts.n_ran, 0);
		atomic_store(&posts.n_accepted, 0);
		cr_assert_eq(volley_server_start(server), 0);
		for (int k = 0; k < 2; k++)
			pthread_create(&threads[k], NULL, post_until_refused, server);
		while (atomic_load(&posts.n_accepted) < 20)
			sched_yield();
		cr_assert_eq(i % 2 ? volley_server_stop(server) : volley_server_drain(server), 0);
		for (int k = 0; k < 2; k++) {
			pthread_join(threads[k], &r);
			cr_assert_eq((int)(intptr_t)r, -ESHUTDOWN);
		}
		cr_assert_eq(atomic_load(&posts.n_ran), 2 * atomic_load(&posts.n_accepted));
		volley_server_free(server);
	}
}

Test(post, a_post_needs_memory_for_all_workers)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2), peer_echo, NULL,
						   &to);

	sem_init(&posts.ran, 0, 0);
	cr_assert_eq(volley_server_start(server), 0);
	for (unsigned int nth = 1; nth <= 3; nth++) {
		fault_arm(FAULT_ALIGNED_ALLOC, nth, ENOMEM);
		cr_assert_eq(volley_server_post(server, ran, NULL), -ENOMEM);
	}
	fault_disarm();
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(atomic_load(&posts.n_ran), 0, "on no worker at all");
	volley_server_free(server);
}
