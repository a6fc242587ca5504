/* SPDX-License-Identifier: MIT */

/*
 * A listener with five sockets and a server of two workers without threads: who has which, while it
 * comes, pauses, goes, and goes to somebody else.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/lifetime.h"
#include "path/listener.h"
#include "path/pipeline.h"
#include "sys/socket.h"
#include "worker/change.h"

enum { N_SOCKETS = 5, N_WORKERS = 2 };

static struct volley_server *server;
static struct vly_listener listener;
static int fds[N_SOCKETS];
static struct volley_addr addr[N_SOCKETS];
static int client;

static void open_all(void)
{
	count_fds();
	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = N_WORKERS), &server), 0);
	for (int i = 0; i < N_SOCKETS; i++)
		fds[i] = loopback_open("127.0.0.1:0", &addr[i]);
	client = loopback_open("127.0.0.1:0", NULL);
	listener = (struct vly_listener){
		.server = server, .addr = addr[0], .index = 3, .fds = fds, .n_fds = N_SOCKETS
	};
}

static void close_all(void)
{
	TEARDOWN_CHECK(volley_server_free(server) == 0);
	for (int i = 0; i < N_SOCKETS; i++)
		close(fds[i]); /* or it is closed already */
	close(client);
	compare_fds();
}

TestSuite(change, .init = open_all, .fini = close_all, .timeout = 60);

/* Every worker, on this thread. */
static void call(int (*fn)(struct volley_worker *worker, void *arg), int expected)
{
	for (uint32_t i = 0; i < N_WORKERS; i++)
		cr_assert_eq(fn(&server->workers[i], &listener), expected, "worker %u", i);
}

/* A worker has exactly these sockets of the listener, in this order. */
static void expect_fds(uint32_t worker_index, const int *expected, uint32_t n)
{
	struct vly_sock *sock = vly_socks_get_first(&server->workers[worker_index].socks,
						    listener.index);

	for (uint32_t i = 0; i < n; i++, sock = vly_socks_get_next(sock)) {
		cr_assert_not_null(sock, "worker %u has fewer than %u", worker_index, n);
		cr_assert_eq(sock->fd, expected[i]);
		cr_assert_eq(sock->listener, &listener);
	}
	cr_assert_null(sock);
}

static void expect_none(void)
{
	for (uint32_t i = 0; i < N_WORKERS; i++) {
		expect_fds(i, NULL, 0);
		cr_assert_null(vly_socks_get_after(&server->workers[i].socks, UINT32_MAX));
	}
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

Test(change, each_worker_gets_every_other_socket_and_gives_them_back)
{
	for (int round = 0; round < 3; round++) {
		call(vly_change_attach, 0);
		expect_fds(0, (const int[]){ fds[0], fds[2], fds[4] }, 3);
		expect_fds(1, (const int[]){ fds[1], fds[3] }, 2);
		call(vly_change_detach, 0);
		expect_none();
	}
	for (int i = 0; i < N_SOCKETS; i++)
		cr_assert(is_open(fds[i]), "they stay open");
}

Test(change, another_listener_is_left_alone)
{
	cr_assert_eq(listen_once(server), 0);
	call(vly_change_attach, 0);
	call(vly_change_detach, 0);
	for (uint32_t i = 0; i < N_WORKERS; i++) {
		struct vly_sock *sock = vly_socks_get_first(&server->workers[i].socks, 0);

		cr_assert_not_null(sock);
		cr_assert_null(vly_socks_get_next(sock));
	}
	cr_assert_eq(start_and_ask(server), 0);
}

/* The server detaches after a failure, whatever was attached by then. */
Test(change, what_fails_halfway_can_be_taken_back)
{
	unsigned int n_failed = 0;

	for (unsigned int nth = 1;; nth++) {
		int r;

		fault_arm(FAULT_ALIGNED_ALLOC, nth, ENOMEM);
		r = vly_change_attach(&server->workers[0], &listener);
		if (fault_disarm() == 0)
			break;
		cr_assert_eq(r, -ENOMEM);
		cr_assert_eq(vly_change_detach(&server->workers[0], &listener), 0);
		expect_none();
		n_failed++;
	}
	cr_assert_gt(n_failed, 3, "at least one for each socket");
	expect_fds(0, (const int[]){ fds[0], fds[2], fds[4] }, 3);
	call(vly_change_detach, 0);
}

Test(change, what_is_left_in_them_is_counted_and_they_are_closed)
{
	struct volley_stats stats = { .size = sizeof stats };

	call(vly_change_attach, 0);
	for (int i = 0; i < N_SOCKETS; i++)
		for (int k = 0; k <= i; k++)
			loopback_send(client, &addr[i], 1, 8);
	cr_assert_eq(vly_socket_set_drop_all(fds[4], true), 0);
	loopback_send(client, &addr[4], 1, 8);
	call(vly_change_leave, 0);
	call(vly_change_finish, 0);
	expect_none();
	for (int i = 0; i < N_SOCKETS; i++)
		cr_assert_not(is_open(fds[i]));
	cr_assert_eq(volley_server_get_worker_stats(server, 0, &stats), 0);
	cr_assert_eq(stats.discarded_at_close, 1 + 3 + 5);
	cr_assert_eq(stats.kernel_drops, 1);
	cr_assert_eq(volley_server_get_worker_stats(server, 1, &stats), 0);
	cr_assert_eq(stats.discarded_at_close, 2 + 4);
}

Test(change, what_somebody_else_holds_too_is_not_emptied)
{
	struct volley_stats stats = { .size = sizeof stats };
	int other = dup(fds[0]);
	uint8_t buf[16];

	listener.others = true;
	call(vly_change_attach, 0);
	loopback_send(client, &addr[0], 5, 8);
	call(vly_change_leave, 0);
	call(vly_change_finish, 0);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.discarded_at_close, 0);
	loopback_send(client, &addr[0], 6, 8);
	cr_assert_eq(loopback_recv(other, buf, sizeof buf, NULL), 8);
	cr_assert_eq(buf[0], 5);
	cr_assert_eq(loopback_recv(other, buf, sizeof buf, NULL), 8);
	cr_assert_eq(buf[0], 6, "it is still found");
	close(other);
}

Test(change, it_is_ours_alone_when_the_other_has_let_go)
{
	listener.others = true;
	call(vly_change_attach, 0);
	cr_assert(vly_socks_get_first(&server->workers[1].socks, 3)->is_shared);
	listener.others = false;
	call(vly_change_adopt, 0);
	for (uint32_t i = 0; i < N_WORKERS; i++)
		for (struct vly_sock *sock = vly_socks_get_first(&server->workers[i].socks, 3);
		     sock != NULL; sock = vly_socks_get_next(sock))
			cr_assert_not(sock->is_shared);
	call(vly_change_detach, 0);
}

/* Those of the listeners that a hand-over gives away, and no others. */
Test(change, a_hand_over_pauses_and_takes_its_own)
{
	cr_assert_eq(listen_once(server), 0);
	call(vly_change_attach, 0);
	for (int exported = 0; exported < 2; exported++) {
		listener.exported = exported == 1;
		call(vly_change_pause, 0);
		for (uint32_t i = 0; i < N_WORKERS; i++) {
			const struct vly_socks *socks = &server->workers[i].socks;
			const struct vly_sock *first = vly_socks_get_first(socks, 3);

			cr_assert_eq(first->reads, exported == 0);
			cr_assert_eq(vly_socks_get_next(first)->reads, exported == 0);
			cr_assert(vly_socks_get_first(socks, 0)->reads);
		}
		call(vly_change_resume, 0);
		cr_assert(vly_socks_get_first(&server->workers[0].socks, 3)->reads);
	}
	call(vly_change_check, 0);
	call(vly_change_give_away, 0);
	expect_fds(0, NULL, 0);
	expect_fds(1, NULL, 0);
	cr_assert_not(is_open(fds[0]), "the other process has its own");
	cr_assert_not_null(vly_socks_get_first(&server->workers[1].socks, 0));
}
