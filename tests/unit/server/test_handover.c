/* SPDX-License-Identifier: MIT */

/*
 * Hand-overs between two servers of one process: what is carried, what is refused, and what happens
 * when a step fails. tests/system/test_restart.py has the two processes.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/fault.h"
#include "lib/giver.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "lib/teardown.h"
#include "server/handover/wire.h"
#include "server/listeners.h"
#include "sys/lease.h"

enum { TIMEOUT_US = 20000000, SHORT_US = 20000 };

static int n_fds_before;
static int fds[2]; /* the conversation: the old server's end, the new one's */

static void before(void)
{
	n_fds_before = loopback_n_fds();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

static void after(void)
{
	close(fds[0]);
	close(fds[1]);
	TEARDOWN_CHECK(loopback_n_fds() == n_fds_before);
}

TestSuite(handover, .init = before, .fini = after, .timeout = 60);

/* Another conversation; the last one is over for both. */
static void reopen(void)
{
	close(fds[0]);
	close(fds[1]);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

static struct volley_server *new_server(uint32_t n_workers)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = n_workers, .rcvbuf_bytes = 1),
				       &server),
		     0);
	return server;
}

static int listen_at(struct volley_server *server, const struct volley_addr *addr)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "127.0.0.1:0";

	if (addr != NULL)
		volley_addr_format(addr, text, sizeof text);
	return volley_server_listen(server, text, VOLLEY_LISTEN(.on_batch = peer_echo), NULL);
}

static struct volley_addr get_addr(struct volley_server *server, uint32_t i)
{
	return listener_addr(server, i);
}

static struct volley_stats get_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_null(ledger_find_fault(&stats));
	return stats;
}

static void begin(struct giver *giver, struct volley_server *server, uint32_t timeout_us)
{
	giver_start(giver, server, fds[0], timeout_us, false);
}

static void flood(const struct volley_addr *to, int n)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	for (int i = 0; i < n; i++)
		loopback_send(fd, to, 1, 1000);
	close(fd);
}

static void expect_reply(const struct volley_addr *to)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	cr_assert(peer_ask(fd, to, 5));
	close(fd);
}

/* Both at rest, so that every datagram queues or is dropped, and nobody serves any. */
Test(handover, drops_and_queues_are_in_the_books_once)
{
	struct volley_server *old = new_server(1);
	struct volley_server *new = new_server(1);
	struct volley_stats carried = { .size = sizeof carried };
	struct volley_addr to;
	struct giver giver;
	uint64_t drops;

	cr_assert_eq(listen_at(old, NULL), 0);
	to = get_addr(old, 0);
	flood(&to, 5000);
	begin(&giver, old, TIMEOUT_US);
	cr_assert_eq(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), 1);
	cr_assert_eq(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), -EBUSY);
	cr_assert_eq(listen_at(old, NULL), -EBUSY, "listeners stay as they are meanwhile");
	cr_assert_eq(volley_listener_close(old, listener_at(old, 0)), -EBUSY);
	cr_assert_eq(listen_at(new, NULL), 0);
	flood(&to, 1000); /* seen by both, and counted by both until one of them lets go */
	drops = get_stats(old).kernel_drops;
	cr_assert_geq(drops, 1000);
	cr_assert_eq(get_stats(new).kernel_drops, 1000);
	cr_assert_eq(volley_server_import_commit(new, fds[1], TIMEOUT_US), 0);
	cr_assert_eq(giver_join(&giver), 0);
	cr_assert_eq(get_stats(new).kernel_drops, drops);
	cr_assert_eq(volley_server_get_carried_stats(new, &carried), 0);
	cr_assert_eq(carried.kernel_drops, drops);
	cr_assert_null(vly_listeners_get(old, 0));
	cr_assert_eq(volley_server_free(old), 0);
	flood(&to, 500);
	cr_assert_eq(get_stats(new).kernel_drops, drops + 500);
	cr_assert_eq(volley_server_close(new), 0);
	cr_assert_eq(get_stats(new).kernel_drops + get_stats(new).discarded_at_close, 6500);
	cr_assert_eq(volley_server_import_commit(new, fds[1], TIMEOUT_US), -ESHUTDOWN);
	cr_assert_eq(volley_server_free(new), 0);
}

static struct volley_server *open_running(uint32_t n_workers, struct volley_addr *ret_to)
{
	struct volley_server *server = new_server(n_workers);

	cr_assert_eq(listen_at(server, NULL), 0);
	cr_assert_eq(volley_server_start(server), 0);
	*ret_to = get_addr(server, 0);
	return server;
}

static struct volley_server *import_and_start(const struct volley_addr *to, int n_sockets)
{
	struct volley_server *new = new_server((uint32_t)n_sockets);

	cr_assert_eq(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), n_sockets);
	cr_assert_eq(listen_at(new, to), 0);
	cr_assert_eq(volley_server_start(new), 0);
	return new;
}

/* Nobody comes, or somebody from whom nothing comes. */
Test(handover, each_side_gives_up_in_time)
{
	struct volley_addr to;
	struct volley_server *old = open_running(2, &to);
	struct volley_server *new = new_server(2);

	cr_assert_eq(volley_server_export_fds(old, fds[0], SHORT_US, NULL, 0), -ETIMEDOUT);
	expect_reply(&to);
	cr_assert_eq(volley_server_import_fds(new, fds[1], SHORT_US, NULL, NULL), -ECANCELED,
		     "it said so");
	cr_assert_eq(volley_server_import_commit(new, fds[1], SHORT_US), -ENOTCONN);
	reopen();
	cr_assert_eq(volley_server_import_fds(new, fds[1], SHORT_US, NULL, NULL), -ETIMEDOUT);
	cr_assert_eq(volley_server_free(new), 0);
	cr_assert_eq(volley_server_free(old), 0);
}

/* The old one serves on, and the new one hears of it: it ends and leaves the sockets alone. */
Test(handover, one_that_is_too_late_gives_up)
{
	struct volley_addr to;
	struct volley_server *old = open_running(2, &to);
	struct volley_server *new;
	struct giver giver;

	begin(&giver, old, 200000);
	new = import_and_start(&to, 2);
	cr_assert_eq(giver_join(&giver), -ETIMEDOUT);
	cr_assert_eq(volley_server_count_sharers(old), 1);
	cr_assert_eq(volley_server_import_commit(new, fds[1], TIMEOUT_US), -ECANCELED);
	cr_assert_eq(volley_server_count_sharers(old), 0, "it said that it ends");
	cr_assert_eq(volley_server_free(new), 0);
	for (int i = 0; i < 8; i++)
		expect_reply(&to);
	cr_assert_eq(volley_server_free(old), 0);
}

/* What the new one has served meanwhile comes back, and is in the books of the one that stays. */
Test(handover, counters_come_back)
{
	struct volley_addr to;
	struct volley_server *old = new_server(1);
	struct volley_server *new;
	struct giver giver;

	cr_assert_eq(listen_at(old, NULL), 0);
	to = get_addr(old, 0);
	begin(&giver, old, 200000);
	new = import_and_start(&to, 1);
	expect_reply(&to); /* the old one rests: it is the new one that served it */
	cr_assert_eq(giver_join(&giver), -ETIMEDOUT);
	cr_assert_eq(volley_server_import_commit(new, fds[1], TIMEOUT_US), -ECANCELED);
	cr_assert_eq(get_stats(old).delivered, 0);
	cr_assert_eq(volley_server_drain(new), 0);
	cr_assert_eq(volley_server_free(new), 0);
	cr_assert_eq(get_stats(old).delivered, 1);
	cr_assert_eq(volley_server_free(old), 0);
}

/* The old one ends when it had meant to serve on: the new one must not rely on it. */
Test(handover, no_one_gives_up_for_one_that_ends)
{
	int (*const ends[])(struct volley_server *) = { volley_server_drain, volley_server_close };

	for (size_t i = 0; i < 2; i++) {
		struct volley_addr to;
		struct volley_server *old = open_running(1, &to);
		struct volley_server *new;
		struct giver giver;

		begin(&giver, old, 200000);
		new = import_and_start(&to, 1);
		cr_assert_eq(giver_join(&giver), -ETIMEDOUT);
		cr_assert_eq(ends[i](old), 0);
		cr_assert_eq(volley_server_free(old), 0);
		cr_assert_eq(volley_server_import_commit(new, fds[1], TIMEOUT_US), 0);
		expect_reply(&to);
		cr_assert_eq(volley_server_free(new), 0);
		reopen();
	}
}

/* A drain or a close of the old one ends the hand-over, and then happens. */
Test(handover, an_end_goes_first)
{
	int (*const ends[])(struct volley_server *) = { volley_server_drain, volley_server_close };

	for (size_t i = 0; i < 2; i++) {
		struct volley_addr to;
		struct volley_server *old = open_running(2, &to);
		struct volley_server *new = new_server(2);
		struct giver giver;

		begin(&giver, old, TIMEOUT_US);
		cr_assert_eq(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), 2);
		cr_assert_eq(ends[i](old), 0);
		cr_assert_eq(giver_join(&giver), -ECANCELED);
		cr_assert_eq(volley_server_free(new), 0);
		cr_assert_eq(volley_server_free(old), 0);
		reopen();
	}
}

Test(handover, what_is_no_conversation_is_refused)
{
	struct volley_addr to;
	struct volley_server *server = open_running(1, &to);
	int udp = loopback_open("127.0.0.1:0", NULL);
	int stream[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	cr_assert_eq(volley_server_export_fds(server, -1, SHORT_US, NULL, 0), -EBADF);
	cr_assert_eq(volley_server_export_fds(server, udp, SHORT_US, NULL, 0), -EPROTOTYPE);
	cr_assert_eq(volley_server_export_fds(server, stream[0], SHORT_US, NULL, 0), -EPROTOTYPE);
	cr_assert_eq(volley_server_import_fds(server, stream[0], SHORT_US, NULL, NULL),
		     -EPROTOTYPE);
	close(fds[1]);
	cr_assert_eq(volley_server_export_fds(server, fds[0], SHORT_US, NULL, 0), -EPIPE);
	cr_assert_eq(volley_server_import_fds(server, fds[0], SHORT_US, NULL, NULL), -EPIPE);
	fds[1] = dup(fds[0]);
	expect_reply(&to);
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_eq(volley_server_export_fds(server, fds[0], SHORT_US, NULL, 0), -ESHUTDOWN);
	cr_assert_eq(volley_server_free(server), 0);
	close(stream[0]);
	close(stream[1]);
	close(udp);
}

static void expect_missing(struct volley_server *server, bool is_missing)
{
	char text[16384];

	cr_assert_lt(volley_server_format_stats(server, text, sizeof text), (int)sizeof text);
	cr_assert_not_null(
		strstr(text, is_missing ? "\"missing_books\": 1," : "\"missing_books\": 0,"));
}

static void greet_and_die(void)
{
	struct vly_handover *own = vly_wire_new(NULL, fds[0], TIMEOUT_US);
	int watch_fd;
	int hold_fd = vly_lease_open(&watch_fd);

	cr_assert_not_null(own);
	cr_assert_geq(hold_fd, 0);
	cr_assert_eq(vly_wire_send_self(own, watch_fd), 0);
	vly_wire_free(own);
	close(watch_fd);
	close(hold_fd);
	close(fds[0]);
}

/*
 * One that ends says so, and has its books. Of one that only says hello nobody has them. Who says
 * nothing was perhaps replaced while we waited for its attention.
 */
Test(handover, an_end_that_was_told_is_no_hole_in_the_books)
{
	struct volley_addr to;
	struct volley_server *old = open_running(1, &to);
	struct volley_server *new = new_server(1);

	cr_assert_eq(volley_server_close(old), 0);
	cr_assert_eq(volley_server_export_fds(old, fds[0], TIMEOUT_US, NULL, 0), -ESHUTDOWN);
	close(fds[0]);
	cr_assert_eq(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), -EPIPE);
	expect_missing(new, false);
	fds[0] = dup(fds[1]);
	reopen();
	close(fds[0]);
	cr_assert_eq(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), -EPIPE);
	expect_missing(new, false);
	fds[0] = dup(fds[1]);
	reopen();
	greet_and_die();
	cr_assert_eq(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), -EPIPE);
	expect_missing(new, true);
	fds[0] = dup(fds[1]);
	cr_assert_eq(volley_server_free(new), 0);
	cr_assert_eq(volley_server_free(old), 0);
}

/* Each allocation and each setting of an option fails once, on either side. */
static void survive(enum fault_function function)
{
	for (unsigned int nth = 1;; nth++) {
		struct volley_addr to;
		struct volley_server *old = open_running(1, &to);
		struct volley_server *new = new_server(1);
		struct giver giver;
		int n_fired;
		int r;

		fault_arm(function, nth, ENOMEM);
		begin(&giver, old, TIMEOUT_US);
		r = volley_server_import_fds(new, fds[1], 200000, NULL, NULL);
		if (r >= 0)
			r = listen_at(new, &to);
		if (r >= 0)
			r = volley_server_start(new);
		if (r >= 0)
			r = volley_server_import_commit(new, fds[1], TIMEOUT_US);
		n_fired = (int)fault_disarm();
		if (r < 0) { /* the program ends, and its end of the conversation with it */
			cr_assert_eq(volley_server_free(new), 0);
			close(fds[1]);
			cr_assert_lt(giver_join(&giver), 0);
			close(fds[0]);
			cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
			expect_reply(&to);
		} else {
			cr_assert_eq(giver_join(&giver), 0);
			expect_reply(&to);
			cr_assert_eq(volley_server_free(new), 0);
		}
		cr_assert_eq(volley_server_free(old), 0);
		if (n_fired == 0)
			return;
	}
}

Test(handover, every_failure_leaves_one_that_serves)
{
	survive(FAULT_ALIGNED_ALLOC);
	survive(FAULT_SETSOCKOPT);
	survive(FAULT_GETSOCKOPT);
	survive(FAULT_EVENT_NEW);
}
