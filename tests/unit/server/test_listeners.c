/* SPDX-License-Identifier: MIT */

/*
 * Listeners that come and go: at rest, while workers run, in each wait strategy, and when what it
 * takes fails. Whatever happens, the ledger balances and no descriptor is left.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/ledger.h"
#include "lib/lifetime.h"
#include "lib/listeners.h"
#include "path/listener.h"
#include "server/listeners.h"

TestSuite(listeners, .init = count_fds, .fini = compare_fds, .timeout = 60);

static struct volley_addr get_addr(struct volley_server *server, int index)
{
	return listener_addr(server, (uint32_t)index);
}

/* From several ports, so that every worker has its share. */
static void expect_replies(struct volley_server *server, int index)
{
	struct volley_addr to = get_addr(server, index);

	for (uint8_t tag = 0; tag < 8; tag++) {
		int fd = loopback_open("127.0.0.1:0", NULL);

		cr_assert(peer_ask(fd, &to, tag), "listener %d, client %d", index, tag);
		close(fd);
	}
}

static struct volley_stats get_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert_null(ledger_find_server_fault(server));
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	return stats;
}

static void free_server(struct volley_server *server)
{
	cr_assert_eq(volley_server_close(server), 0);
	get_stats(server);
	cr_assert_eq(volley_server_free(server), 0);
}

static char last_log[512];

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	strncpy(last_log, text, sizeof last_log - 1);
}

/* While it runs -------------------------------------------------------------------------------- */

static void come_and_go(struct volley_server *server)
{
	struct volley_listener listeners[4];

	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 1; i < 4; i++) {
			cr_assert_eq(listen_once(server), 0);
			listeners[i] = listener_at(server, i);
		}
		for (int i = 0; i < 4; i++)
			expect_replies(server, i);
		for (uint32_t i = 3; i > 0; i--) { /* so that the next one is the first again */
			cr_assert_eq(volley_listener_close(server, listeners[i]), 0);
			cr_assert_eq(volley_listener_close(server, listeners[i]), -ESTALE);
			cr_assert_null(vly_listeners_get(server, i));
		}
		expect_replies(server, 0);
	}
}

Test(listeners, come_and_go_while_it_runs)
{
	const uint32_t waits[] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_SPIN };

	for (size_t i = 0; i < 2; i++) {
		struct volley_addr to;
		struct volley_server *server = peer_server(
			VOLLEY_CONFIG(.n_workers = 2, .wait = waits[i]), peer_echo, NULL, &to);

		cr_assert_eq(volley_server_start(server), 0);
		come_and_go(server);
		cr_assert_eq(volley_server_stop(server), 0);
		cr_assert_eq(get_stats(server).delivered, 3 * 5 * 8);
		cr_assert_eq(listen_once(server), 0);
		cr_assert_eq(volley_server_start(server), 0);
		expect_replies(server, 1);
		free_server(server);
	}
}

Test(listeners, the_last_one_may_go)
{
	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2,
									 .wait = peer_ways[i].wait,
									 .io = peer_ways[i].io),
							   peer_echo, NULL, &to);

		cr_assert_eq(volley_server_start(server), 0);
		for (int round = 0; round < 3; round++) {
			expect_replies(server, 0);
			cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
			cr_assert_eq(listen_once(server), 0);
		}
		expect_replies(server, 0);
		cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
		cr_assert_eq(volley_server_stop(server), 0);
		cr_assert_eq(volley_server_start(server), -ENOTCONN, "nothing is left to serve");
		free_server(server);
	}
}

Test(listeners, block_takes_one_only)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_BLOCK,
						     .log = on_log),
				       &server),
		     0);
	cr_assert_eq(listen_once(server), 0);
	cr_assert_eq(listen_once(server), 0);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	cr_assert_eq(volley_server_start(server), 0);
	expect_replies(server, 0);
	cr_assert_eq(listen_once(server), -EINVAL);
	cr_assert_not_null(strstr(last_log, "block"));
	free_server(server);
}

Test(listeners, none_is_found_where_there_is_none)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(NULL, peer_echo, NULL, &to);
	struct volley_server *other = peer_server(NULL, peer_echo, NULL, &to);
	struct volley_listener none = { .id = 0 };
	struct volley_listener first = listener_at(server, 0);
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert_eq(volley_listener_close(server, none), -ESTALE);
	cr_assert_eq(volley_listener_close(server, listener_at(other, 0)), -ESTALE, "another's");
	cr_assert_eq(volley_listener_close(server, first), 0);
	cr_assert_eq(listen_once(server), 0);
	cr_assert_eq(VLY_LISTENER_INDEX(listener_at(server, 0).id), VLY_LISTENER_INDEX(first.id));
	cr_assert_eq(volley_listener_close(server, first), -ESTALE, "not the one in its place");
	cr_assert_eq(volley_listener_get_addr(server, first, &to), -ESTALE);
	cr_assert_eq(volley_listener_get_fd(server, first, 0), -ESTALE);
	cr_assert_eq(volley_listener_get_stats(server, first, &stats), -ESTALE);
	cr_assert_eq(volley_server_send(server, first, &to, "x", 1, NULL), -ESHUTDOWN);
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_server_send(server, first, &to, "x", 1, NULL), -ESTALE);
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), -ESHUTDOWN);
	cr_assert_eq(volley_server_free(server), 0);
	cr_assert_eq(volley_server_free(other), 0);
}

Test(listeners, a_socket_can_be_asked_for)
{
	struct volley_addr to, bound = { .len = sizeof bound.in6 };
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2), peer_echo, NULL,
						   &to);
	struct volley_listener listener = listener_at(server, 0);

	for (uint32_t i = 0; i < 2; i++) {
		int fd = volley_listener_get_fd(server, listener, i);

		cr_assert_eq(getsockname(fd, &bound.sa, &bound.len), 0);
		cr_assert(volley_addr_is_equal(&bound, &to));
	}
	cr_assert_eq(volley_listener_get_fd(server, listener, 2), -ENOENT);
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_eq(volley_listener_get_fd(server, listener, 0), -ENOENT);
	cr_assert_eq(volley_server_free(server), 0);
}

/* What a listener that goes still holds -------------------------------------------------------- */

enum { N_QUEUED = 100 };

static struct {
	sem_t inside;
	sem_t go;
	int close, listen;
} held;

/* The first call waits, so that what comes meanwhile queues. */
static void wait_then_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	if (packets[0].data[0] == 200) {
		struct volley_server *server = volley_worker_get_server(worker);

		held.close = volley_listener_close(server, listener_at(server, 0));
		held.listen = volley_server_listen(server, "127.0.0.1:0",
						   VOLLEY_LISTEN(.on_batch = peer_echo), NULL);
		sem_post(&held.inside);
		sem_wait(&held.go);
	} else if (arg != NULL) {
		poll(NULL, 0, 5); /* a callback that takes its time */
	}
	peer_echo(worker, packets, n, arg);
}

static void *close_first(void *server)
{
	return (void *)(intptr_t)volley_listener_close(server, listener_at(server, 0));
}

/* A server whose only worker is held in a callback while n datagrams queue. */
static struct volley_server *open_held(const struct volley_config *config, void *arg, int fd,
				       struct volley_addr *ret_to)
{
	struct volley_server *server = peer_server(config, wait_then_echo, arg, ret_to);

	sem_init(&held.inside, 0, 0);
	sem_init(&held.go, 0, 0);
	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, ret_to, 200, 8);
	sem_wait(&held.inside);
	for (int i = 0; i < N_QUEUED; i++)
		loopback_send(fd, ret_to, 1, 8);
	return server;
}

Test(listeners, what_queues_is_served_to_the_last)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		struct volley_addr to;
		pthread_t thread;
		void *r;
		struct volley_server *server = open_held(
			VOLLEY_CONFIG(.n_workers = 1, .wait = peer_ways[i].wait,
				      .io = peer_ways[i].io, .n_batch = 4, .n_budget = 1,
				      .drain_us = 20000000),
			NULL, fd, &to);

		cr_assert_eq(held.close, -EDEADLK, "a worker cannot wait for itself");
		cr_assert_eq(held.listen, -EDEADLK);
		pthread_create(&thread, NULL, close_first, server);
		sem_post(&held.go);
		pthread_join(thread, &r);
		cr_assert_eq((intptr_t)r, 0);
		cr_assert_eq(get_stats(server).delivered, 1 + N_QUEUED);
		cr_assert_eq(get_stats(server).tx_sent, 1 + N_QUEUED);
		cr_assert_eq(get_stats(server).discarded_at_close, 0);
		free_server(server);
	}
	close(fd);
}

Test(listeners, what_does_not_fit_the_time_is_counted)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct volley_addr to;
	struct volley_stats stats;
	pthread_t thread;
	void *r;
	struct volley_server *server = open_held(
		VOLLEY_CONFIG(.n_workers = 1, .n_batch = 1, .n_budget = 1, .drain_us = 1), &held,
		fd, &to);

	pthread_create(&thread, NULL, close_first, server);
	while (atomic_load(&server->workers[0].mail.inbox.head) == NULL)
		sched_yield(); /* until the worker has been told, which it hears afterwards */
	sem_post(&held.go);
	pthread_join(thread, &r);
	cr_assert_eq((intptr_t)r, -ETIME);
	stats = get_stats(server);
	cr_assert_gt(stats.discarded_at_close, 0);
	cr_assert_eq(stats.delivered + stats.discarded_at_close, 1 + N_QUEUED);
	free_server(server);
	close(fd);
}

Test(listeners, at_rest_what_queues_is_counted)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct volley_addr to;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2), peer_echo, NULL,
						   &to);

	for (int i = 0; i < 10; i++)
		loopback_send(fd, &to, 1, 8);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	cr_assert_eq(get_stats(server).discarded_at_close, 10);
	free_server(server);
	close(fd);
}

Test(listeners, the_kernels_drops_stay_in_the_books)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct volley_addr to;
	uint64_t drops = 0;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 1, .rcvbuf_bytes = 1),
						   peer_echo, NULL, &to);

	for (int round = 0; round < 3; round++) {
		struct volley_stats stats;

		for (int i = 0; i < 20000; i++)
			loopback_send(fd, &to, 1, 1000);
		stats = get_stats(server);
		cr_assert_gt(stats.kernel_drops, drops, "the queue has an end");
		drops = stats.kernel_drops;
		cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
		stats = get_stats(server);
		cr_assert_eq(stats.kernel_drops, drops);
		cr_assert_eq(stats.discarded_at_close + drops, 20000 * (round + 1u));
		cr_assert_eq(listen_once(server), 0);
		to = get_addr(server, 0);
	}
	free_server(server);
	close(fd);
}

/* Failures ------------------------------------------------------------------------------------- */

/* Fails, and nothing has changed; then it works. Returns how often it failed. */
static unsigned int fail_listen(enum fault_function function, int error)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 3), peer_echo, NULL,
						   &to);
	unsigned int n_failed = 0;
	int n_fds;

	cr_assert_eq(volley_server_start(server), 0);
	n_fds = loopback_n_fds();
	for (unsigned int nth = 1;; nth++) {
		int r;

		fault_arm(function, nth, error);
		r = listen_once(server);
		if (fault_disarm() == 0) {
			cr_assert_eq(r, 0);
			break;
		}
		if (r < 0) {
			n_failed++;
			cr_assert_eq(r, -error);
			cr_assert_null(vly_listeners_get(server, 1));
		} else {
			cr_assert_eq(volley_listener_close(server, listener_at(server, 1)), 0);
		}
		cr_assert_eq(loopback_n_fds(), n_fds);
		expect_replies(server, 0);
	}
	expect_replies(server, 1);
	free_server(server);
	return n_failed;
}

Test(listeners, a_running_server_survives_every_failure)
{
	cr_assert_geq(fail_listen(FAULT_ALIGNED_ALLOC, ENOMEM), 5);
	cr_assert_eq(fail_listen(FAULT_EVENT_NEW, ENOMEM), 6);
	cr_assert_eq(fail_listen(FAULT_EVENT_ADD, ENOMEM), 3);
	cr_assert_eq(fail_listen(FAULT_SOCKET, EMFILE), 3);
	/* The second one's is tried again, with SO_REUSEPORT before the first. */
	cr_assert_eq(fail_listen(FAULT_BIND, EADDRINUSE), 2);
}

/* Closing takes nothing that can fail: neither memory nor a kernel that does as it is told. */
Test(listeners, closing_survives_every_failure)
{
	const enum fault_function functions[] = { FAULT_ALIGNED_ALLOC, FAULT_SETSOCKOPT,
						  FAULT_CONNECT, FAULT_GETSOCKOPT };

	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		struct volley_addr to;
		struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 2), peer_echo,
							   NULL, &to);

		cr_assert_eq(volley_server_start(server), 0);
		fault_arm_from(functions[i], 1, EPERM);
		cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
		fault_disarm();
		cr_assert_eq(listen_once(server), 0);
		expect_replies(server, 0);
		free_server(server);
	}
}
