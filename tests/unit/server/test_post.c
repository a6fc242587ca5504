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
