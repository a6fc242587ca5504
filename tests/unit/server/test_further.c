/* SPDX-License-Identifier: MIT */

/*
 * Descriptors of the program's own in a hand-over: who has them open at each step, and after each
 * failure. The suite fails on one that is left, and on one that was closed twice.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/giver.h"
#include "lib/lifetime.h"
#include "server/handover/wire.h"
#include "sys/lease.h"

enum { TIMEOUT_US = 20000000, SHORT_US = 200000, N_MOST = VOLLEY_HANDOVER_N_FDS, UNTOUCHED = -7 };

static struct {
	int fds[2];          /* the conversation: the old server's end, the new one's */
	int given[N_MOST];   /* the old program's: the reading ends of pipes */
	int writers[N_MOST]; /* who writes to them is heard wherever they were taken */
	int taken[N_MOST];   /* what the new program got */
	uint32_t n_taken;
	struct volley_server *old;
	struct volley_server *new;
	struct volley_addr to;
	struct giver giver;
} t;

static void open_pair(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, t.fds), 0);
}

static void before(void)
{
	count_fds();
	open_pair();
	for (int i = 0; i < N_MOST; i++) {
		int pair[2];

		cr_assert_eq(pipe2(pair, O_NONBLOCK), 0);
		t.given[i] = pair[0];
		t.writers[i] = pair[1];
		t.taken[i] = UNTOUCHED;
	}
	t.n_taken = 99;
}

static void close_each(const int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		cr_assert_eq(close(fds[i]), 0, "%u was closed by somebody else", i);
}

/* The last conversation is over for both. */
static void reopen(void)
{
	close_each(t.fds, 2);
	open_pair();
}

static void after(void)
{
	close_each(t.writers, N_MOST);
	close_each(t.given, N_MOST); /* open to the end, whatever happened */
	close_each(t.fds, 2);
	compare_fds();
}

TestSuite(further, .init = before, .fini = after, .timeout = 60);

static struct volley_server *new_server(void)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server), 0);
	return server;
}

static int listen_at(struct volley_server *server, const struct volley_addr *addr)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];

	volley_addr_format(addr, text, sizeof text);
	return volley_server_listen(server, text, VOLLEY_LISTEN(.on_batch = peer_echo), NULL);
}

static void begin_export(uint32_t n, uint32_t timeout_us)
{
	t.new = new_server();
	t.old = peer_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo, NULL, &t.to);
	cr_assert_eq(volley_server_start(t.old), 0);
	t.giver = (struct giver){ .server = t.old,
				  .fd = t.fds[0],
				  .timeout_us = timeout_us,
				  .further_fds = t.given,
				  .n_further_fds = n };
	giver_begin(&t.giver);
}

static int import(uint32_t timeout_us)
{
	return volley_server_import_fds(t.new, t.fds[1], timeout_us, t.taken, &t.n_taken);
}

static void free_servers(void)
{
	cr_assert_eq(volley_server_free(t.new), 0);
	cr_assert_eq(volley_server_free(t.old), 0);
}

static void expect_untouched(void)
{
	cr_assert_eq(t.n_taken, 99);
	cr_assert_eq(t.taken[0], UNTOUCHED);
}

/* Each is a copy of the old program's, in its place, and no program that is started has it. */
static void expect_taken(uint32_t n)
{
	cr_assert_eq(t.n_taken, n);
	for (uint32_t i = 0; i < n; i++) {
		struct stat given, taken;

		cr_assert_neq(t.taken[i], t.given[i]);
		cr_assert_eq(fstat(t.given[i], &given), 0);
		cr_assert_eq(fstat(t.taken[i], &taken), 0);
		cr_assert_eq(given.st_ino, taken.st_ino, "%u is another one's", i);
		cr_assert_eq(fcntl(t.taken[i], F_GETFD), FD_CLOEXEC);
	}
}

/* Success -------------------------------------------------------------------------------------- */

Test(further, they_come_in_order_and_stay_open_here)
{
	static const uint32_t ns[] = { 0, 1, N_MOST };

	for (size_t i = 0; i < 3; i++) {
		begin_export(ns[i], TIMEOUT_US);
		cr_assert_eq(import(TIMEOUT_US), 1);
		expect_taken(ns[i]);
		cr_assert_eq(listen_at(t.new, &t.to), 0);
		cr_assert_eq(volley_server_start(t.new), 0);
		cr_assert_eq(volley_server_import_commit(t.new, t.fds[1], TIMEOUT_US), 0);
		cr_assert_eq(giver_join(&t.giver), 0);
		free_servers();
		expect_taken(ns[i]); /* the servers have none of them */
		close_each(t.taken, t.n_taken);
		reopen();
	}
}

/* Somebody that connects meanwhile is in the queue that both have. */
Test(further, a_tcp_listener_loses_nobody)
{
	struct volley_addr addr;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	int accepted;

	cr_assert_eq(volley_addr_parse("127.0.0.1:0", &addr), 0);
	cr_assert_eq(bind(listener, &addr.sa, addr.len), 0);
	cr_assert_eq(listen(listener, 4), 0);
	cr_assert_eq(getsockname(listener, &addr.sa, &addr.len), 0);
	close(t.given[0]);
	t.given[0] = listener;
	begin_export(1, TIMEOUT_US);
	cr_assert_eq(connect(client, &addr.sa, addr.len), 0);
	cr_assert_eq(import(TIMEOUT_US), 1);
	cr_assert_eq(listen_at(t.new, &t.to), 0);
	cr_assert_eq(volley_server_start(t.new), 0);
	cr_assert_eq(volley_server_import_commit(t.new, t.fds[1], TIMEOUT_US), 0);
	cr_assert_eq(giver_join(&t.giver), 0);
	accepted = accept4(t.taken[0], NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(accepted, 0);
	close(accepted);
	close(client);
	close(t.taken[0]);
	free_servers();
}

static bool is_read(int writer)
{
	struct pollfd fd = { .fd = writer, .events = POLLOUT };

	return poll(&fd, 1, 0) == 1 && !(fd.revents & POLLERR);
}

Test(further, those_that_nobody_asks_for_are_closed_at_once)
{
	begin_export(N_MOST, TIMEOUT_US);
	cr_assert_eq(volley_server_import_fds(t.new, t.fds[1], TIMEOUT_US, NULL, NULL), 1);
	cr_assert_eq(volley_server_close(t.old), 0);
	cr_assert_eq(giver_join(&t.giver), -ECANCELED);
	close_each(t.given, N_MOST);
	for (int i = 0; i < N_MOST; i++)
		cr_assert_not(is_read(t.writers[i]), "somebody still has %d", i);
	free_servers();
	for (int i = 0; i < N_MOST; i++)
		t.given[i] = dup(t.writers[i]); /* for after() to close */
}

/* Refused -------------------------------------------------------------------------------------- */

/* The old one says so at once, and serves on. */
static void expect_refusal(const int *fds, uint32_t n, int error)
{
	t.old = peer_server(VOLLEY_CONFIG(.n_workers = 1), peer_echo, NULL, &t.to);
	t.new = new_server();
	cr_assert_eq(volley_server_export_fds(t.old, t.fds[0], TIMEOUT_US, fds, n), error);
	cr_assert_eq(import(TIMEOUT_US), -ECANCELED);
	expect_untouched();
	free_servers();
	reopen();
}

Test(further, what_cannot_be_given_is_refused)
{
	int many[N_MOST + 1];
	int shut[] = { t.given[0], -1 };
	int r;

	for (int i = 0; i <= N_MOST; i++)
		many[i] = t.given[0];
	expect_refusal(many, N_MOST + 1, -EINVAL);
	expect_refusal(NULL, 1, -EINVAL);
	expect_refusal(shut, 2, -EBADF);
	t.new = new_server();
	r = volley_server_import_fds(t.new, t.fds[1], SHORT_US, t.taken, NULL);
	cr_assert_eq(r, -EINVAL);
	r = volley_server_import_fds(t.new, t.fds[1], SHORT_US, NULL, &t.n_taken);
	cr_assert_eq(r, -EINVAL);
	cr_assert_eq(volley_server_free(t.new), 0);
	expect_untouched();
}

/* What fails on the way ------------------------------------------------------------------------ */

/* The new program has its copies, whatever becomes of the hand-over; so has the old one. */
Test(further, a_new_one_that_gives_up_closes_its_own)
{
	begin_export(N_MOST, SHORT_US);
	cr_assert_eq(import(TIMEOUT_US), 1);
	cr_assert_eq(listen_at(t.new, &t.to), 0);
	cr_assert_eq(volley_server_start(t.new), 0);
	cr_assert_eq(giver_join(&t.giver), -ETIMEDOUT);
	cr_assert_eq(volley_server_import_commit(t.new, t.fds[1], TIMEOUT_US), -ECANCELED);
	free_servers();
	expect_taken(N_MOST);
	close_each(t.taken, t.n_taken);
}

Test(further, an_end_of_the_old_one_leaves_them_to_both)
{
	int (*const ends[])(struct volley_server *) = { volley_server_drain, volley_server_close };

	for (size_t i = 0; i < 2; i++) {
		begin_export(N_MOST, TIMEOUT_US);
		cr_assert_eq(import(TIMEOUT_US), 1);
		cr_assert_eq(ends[i](t.old), 0);
		cr_assert_eq(giver_join(&t.giver), -ECANCELED);
		free_servers();
		expect_taken(N_MOST);
		close_each(t.taken, t.n_taken);
		reopen();
	}
}

/* Our side of it, by hand: with the other side's first words, up to a step. */
static struct vly_handover *be(int side)
{
	struct vly_handover *own = vly_wire_new(NULL, t.fds[side], TIMEOUT_US);

	cr_assert_not_null(own);
	return own;
}

static int say_hello(struct vly_handover *own)
{
	int watch_fd;
	int hold_fd = vly_lease_open(&watch_fd);

	cr_assert_geq(hold_fd, 0);
	cr_assert_eq(vly_wire_send_self(own, watch_fd), 0);
	close(watch_fd);
	return hold_fd;
}

/* An old process that dies behind its descriptors, or says what it must not. */
static void expect_failure(uint32_t n, bool has_sockets, int error)
{
	struct vly_handover *own = be(0);
	int hold_fd = say_hello(own);
	int more[N_MOST + 1];
	const uint8_t none = 0;
	int udp = loopback_open("127.0.0.1:0", NULL);

	for (uint32_t i = 0; i < n; i++)
		more[i] = t.given[i % N_MOST];
	cr_assert_eq(vly_wire_send(own, VLY_HANDOVER_OFFER, 2, NULL, 0), 0);
	cr_assert_eq(vly_wire_send_fds(own, VLY_HANDOVER_OTHERS, NULL, NULL, 0), 0);
	cr_assert_eq(vly_wire_send_fds(own, VLY_HANDOVER_FURTHER, more, NULL, n), 0);
	if (has_sockets)
		cr_assert_eq(vly_wire_send_fds(own, VLY_HANDOVER_SOCKETS, &udp, &none, 1), 0);
	vly_wire_free(own);
	close(udp);
	shutdown(t.fds[0], SHUT_WR);
	t.new = new_server();
	cr_assert_eq(import(SHORT_US), error);
	close(hold_fd);
	expect_untouched();
	cr_assert_eq(volley_server_free(t.new), 0);
	reopen();
}

Test(further, none_is_left_of_an_import_that_fails)
{
	expect_failure(N_MOST, false, -EPIPE);
	expect_failure(N_MOST, true, -EPIPE);
	expect_failure(N_MOST + 1, true, -EPROTO);
}

/* A new process that dies when it has them: the old one serves on with its own. */
Test(further, a_death_of_the_new_one_costs_none)
{
	struct vly_handover *own = be(1);
	int hold_fd = say_hello(own);

	begin_export(N_MOST, TIMEOUT_US);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_HELLO), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_OFFER), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_OTHERS), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_FURTHER), 0);
	cr_assert_eq(own->n_fds, N_MOST);
	vly_wire_free(own); /* as the kernel does with all that it had */
	close(hold_fd);
	close(t.fds[1]);
	cr_assert_eq(giver_join(&t.giver), -EPIPE);
	t.fds[1] = dup(t.fds[0]);
	free_servers();
}
