/* SPDX-License-Identifier: MIT */

/*
 * Hand-overs of which one side is a server and the other one this program, which stops, hangs up
 * and dies where a server would not; and what the server then takes the other side for.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "lib/skip.h"
#include "lib/teardown.h"
#include "server/handover/sharers.h"
#include "sys/clock.h"
#include "sys/lease.h"
#include "sys/pidfd.h"

enum { TIMEOUT_US = 20000000, SHORT_US = 300000, DRAIN_US = 300000, SLACK_MS = 130 };

/* What the old process says that it has served. */
enum { N_SERVED = 5 };

static int n_fds_before;
static int fds[2];               /* the conversation: the old side's end, the new one's */
static int hold_fd;              /* this program's lease; a sharer for as long as it is open */
static struct vly_handover *own; /* this program's side of it */

static void before(void)
{
	n_fds_before = loopback_n_fds();
	hold_fd = -1;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

static void let_go(void)
{
	if (hold_fd >= 0)
		close(hold_fd);
	hold_fd = -1;
}

static void after(void)
{
	vly_wire_free(own);
	let_go();
	close(fds[0]);
	close(fds[1]);
	TEARDOWN_CHECK(loopback_n_fds() == n_fds_before);
}

TestSuite(sharers, .init = before, .fini = after, .timeout = 60);

static void be(int side)
{
	own = vly_wire_new(NULL, fds[side], TIMEOUT_US);
	cr_assert_not_null(own);
}

static void send_one(const struct volley_addr *to)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	loopback_send(fd, to, 1, 5);
	close(fd);
}

static uint64_t get_ms(void)
{
	return vly_clock_get_ns() / 1000000;
}

/* The old side is not there ------------------------------------------------------------------- */

/* Our first word: a lease, and the process with this pidfd, if any. */
static void say_hello(int pidfd)
{
	int own_fds[] = { -1, pidfd };

	hold_fd = vly_lease_open(&own_fds[0]);
	cr_assert_geq(hold_fd, 0);
	cr_assert_eq(vly_wire_send_fds(own, VLY_HANDOVER_HELLO, own_fds, NULL, pidfd < 0 ? 1 : 2),
		     0);
	close(own_fds[0]);
}

/* All that an old process ever says, ahead of time: its socket, its counters, and no more. */
static void say_all(int pidfd, struct volley_addr *ret_addr)
{
	static struct vly_handover_counters counters = {
		.n_rx_drops = VOLLEY_RX_N_DROPS,
		.n_tx_drops = VOLLEY_TX_N_DROPS,
		.stats = { .size = sizeof(struct volley_stats), .delivered = N_SERVED },
	};
	int udp = loopback_open("127.0.0.1:0", ret_addr);
	uint32_t drops = 0;
	uint8_t none = 0;

	be(0);
	say_hello(pidfd);
	cr_assert_eq(vly_wire_send(own, VLY_HANDOVER_OFFER, 1, NULL, 0), 0);
	cr_assert_eq(vly_wire_send_fds(own, VLY_HANDOVER_OTHERS, NULL, NULL, 0), 0);
	cr_assert_eq(vly_wire_send_fds(own, VLY_HANDOVER_FURTHER, NULL, NULL, 0), 0);
	cr_assert_eq(vly_wire_send_fds(own, VLY_HANDOVER_SOCKETS, &udp, &none, 1), 0);
	cr_assert_eq(vly_wire_send(own, VLY_HANDOVER_DROPS, 1, &drops, sizeof drops), 0);
	cr_assert_eq(vly_wire_send(own, VLY_HANDOVER_COUNTERS, 1, &counters, sizeof counters), 0);
	shutdown(fds[0], SHUT_WR);
	close(udp);
	if (pidfd >= 0)
		close(pidfd);
}

static struct volley_server *new_server(void)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server), 0);
	return server;
}

static void import(struct volley_server *server, const struct volley_addr *addr)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];

	volley_addr_format(addr, text, sizeof text);
	cr_assert_eq(volley_server_import_fds(server, fds[1], TIMEOUT_US, NULL, NULL), 1);
	cr_assert_eq(volley_server_listen(server, text, VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		     0);
}

static uint64_t count_missing(struct volley_server *server)
{
	uint64_t n;

	vly_lock_take(&server->shared.lock);
	n = server->sharers.n_missing;
	vly_lock_give(&server->shared.lock);
	return n;
}

/* Whether it says that the old process's counters are in nobody's books, or has them in its own. */
static void expect_missing(struct volley_server *server, bool is_missing)
{
	struct volley_stats carried = { .size = sizeof carried };
	char text[16384];

	cr_assert_eq(volley_server_get_carried_stats(server, &carried), 0);
	cr_assert_eq(carried.delivered, is_missing ? 0 : N_SERVED);
	cr_assert_lt(volley_server_format_stats(server, text, sizeof text), (int)sizeof text);
	cr_assert_not_null(
		strstr(text, is_missing ? "\"missing_books\": 1," : "\"missing_books\": 0,"));
}

static void commit(struct volley_server *server, uint32_t timeout_us)
{
	cr_assert_eq(volley_server_import_commit(server, fds[1], timeout_us), 0);
}

/* A broken conversation is no end: it may still read, and it counts what it reads. */
Test(sharers, one_that_hangs_up_and_lives_is_not_gone)
{
	struct volley_server *server = new_server();
	struct volley_addr addr;

	say_all(vly_pidfd_open(), &addr);
	import(server, &addr);
	cr_assert_eq(volley_server_start(server), 0);
	commit(server, SHORT_US);
	expect_missing(server, true);
	cr_assert_eq(volley_server_count_sharers(server), 1);
	let_go();
	cr_assert_eq(volley_server_count_sharers(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
}

/* Also when somebody has looked before the commit does, and it is out of the table. */
Test(sharers, one_that_holds_nothing_is_gone)
{
	struct volley_server *server = new_server();
	struct volley_addr addr;

	say_all(-1, &addr);
	import(server, &addr);
	cr_assert_eq(volley_server_start(server), 0);
	let_go();
	cr_assert_eq(volley_server_count_sharers(server), 0);
	commit(server, TIMEOUT_US);
	expect_missing(server, false);
	cr_assert_eq(volley_server_free(server), 0);
}

static int open_dead(void)
{
	pid_t pid = fork();
	int pidfd;

	if (pid == 0)
		_exit(0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		skip_test("no pidfd_open(2) here");
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	return pidfd;
}

/* A child that it had forked has its sockets still, and does not read them. */
Test(sharers, one_that_died_and_is_survived_by_a_child_is_gone)
{
	int dead = open_dead(); /* before anything else */
	struct volley_server *server = new_server();
	struct volley_addr addr;

	say_all(dead, &addr);
	import(server, &addr);
	cr_assert_eq(volley_server_start(server), 0);
	commit(server, TIMEOUT_US);
	expect_missing(server, false);
	cr_assert_eq(volley_server_free(server), 0);
}

/* It gets no socket, and says what it hears. */
Test(sharers, one_too_many_is_given_nothing)
{
	struct volley_server *server = new_server();
	int watches[VLY_SHARERS_MAX];
	int holds[VLY_SHARERS_MAX];
	const uint8_t reads[VLY_SHARERS_MAX] = { 0 };
	int n_fds;

	cr_assert_eq(volley_server_listen(server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		     0);
	for (int i = 0; i < VLY_SHARERS_MAX; i++)
		cr_assert_geq(holds[i] = vly_lease_open(&watches[i]), 0);
	cr_assert_eq(vly_sharers_take_leases(server, 0, watches, reads, VLY_SHARERS_MAX), 0);
	n_fds = loopback_n_fds();
	be(1);
	say_hello(-1);
	cr_assert_eq(volley_server_export_fds(server, fds[0], TIMEOUT_US, NULL, 0), -EUSERS);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_HELLO), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_OFFER), -ECANCELED);
	let_go();
	vly_wire_close_fds(own);
	cr_assert_eq(loopback_n_fds(), n_fds);
	for (int i = 0; i < VLY_SHARERS_MAX; i++)
		close(holds[i]);
	cr_assert_eq(volley_server_free(server), 0);
}

/* The new side is not there ------------------------------------------------------------------- */

struct giver {
	pthread_t thread;
	struct volley_server *server;
	uint32_t timeout_us;
	_Atomic bool is_done;
	int r;
};

static void *give(void *arg)
{
	struct giver *giver = arg;

	giver->r = volley_server_export_fds(giver->server, fds[0], giver->timeout_us, NULL, 0);
	atomic_store(&giver->is_done, true);
	return NULL;
}

static void begin(struct giver *giver, struct volley_server *server, uint32_t timeout_us)
{
	*giver = (struct giver){ .server = server, .timeout_us = timeout_us };
	cr_assert_eq(pthread_create(&giver->thread, NULL, give, giver), 0);
}

static int finish(struct giver *giver)
{
	pthread_join(giver->thread, NULL);
	return giver->r;
}

static atomic_uint n_held;

static void hold(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_held held;

	(void)worker, (void)arg;
	cr_assert_eq(volley_packet_hold(packet, &held), 0);
	atomic_fetch_add(&n_held, 1);
}

/* One that waits for the reply to one packet. */
static struct volley_server *open_holding(void)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .drain_us = DRAIN_US,
						     .hold_us = 60000000),
				       &server),
		     0);
	cr_assert_eq(
		volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_packet = hold), NULL),
		0);
	cr_assert_eq(volley_server_start(server), 0);
	send_one(LISTENER_ADDR(server, 0));
	while (atomic_load(&n_held) == 0)
		sched_yield();
	return server;
}

/* Up to the moment in which the old one has heard that the new one is ready. */
static void be_ready(void)
{
	struct pollfd fd = { .fd = fds[0], .events = POLLIN };

	be(1);
	say_hello(-1);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_HELLO), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_OFFER), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_OTHERS), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_FURTHER), 0);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_SOCKETS), 0);
	cr_assert_eq(vly_wire_send(own, VLY_HANDOVER_READY, 1, "\1", 1), 0);
	while (poll(&fd, 1, 0) > 0)
		sched_yield();
}

/* The wait for what it has would be as long as the drain, which does it once more. */
Test(sharers, a_drain_does_not_wait_for_a_hand_over_that_waits)
{
	struct volley_server *server = open_holding();
	struct giver giver;
	uint64_t begin_ms;

	begin(&giver, server, TIMEOUT_US);
	be_ready();
	begin_ms = get_ms();
	cr_assert_eq(volley_server_drain(server), -ETIME);
	cr_assert_lt(get_ms() - begin_ms, DRAIN_US / 1000 + SLACK_MS);
	cr_assert_eq(finish(&giver), -ECANCELED);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_COUNTERS), -EPIPE, "it goes, and says so");
	cr_assert_eq(own->head.type, VLY_HANDOVER_RESUMED);
	cr_assert_eq(volley_server_free(server), 0);
}

static int get_unread(void)
{
	int n = 0;

	cr_assert_eq(ioctl(fds[0], TIOCOUTQ, &n), 0);
	return n;
}

/* The old side's end has room for two packets more. What a packet takes is the same for all. */
static int leave_room_for_two(void)
{
	const int small = 1;
	char byte = 0;
	int n_full;

	cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	while (send(fds[0], &byte, 1, MSG_DONTWAIT) == 1)
		continue;
	n_full = get_unread();
	for (int i = 0; i < 2; i++)
		cr_assert_eq(recv(fds[1], &byte, 1, 0), 1);
	return n_full;
}

/* HELLO and OFFER find room, OTHERS does not: readers of the counters are served all the same. */
Test(sharers, one_that_does_not_read_holds_up_nobody_else)
{
	struct volley_server *server = open_holding();
	struct volley_stats stats = { .size = sizeof stats };
	int n_full = leave_room_for_two();
	uint64_t slowest_ms = 0;
	struct giver giver;

	be(1);
	say_hello(-1);
	begin(&giver, server, SHORT_US);
	while (get_unread() < n_full)
		sched_yield();
	while (!atomic_load(&giver.is_done)) {
		uint64_t begin_ms = get_ms();

		cr_assert_eq(volley_server_get_stats(server, &stats), 0);
		if (get_ms() - begin_ms > slowest_ms)
			slowest_ms = get_ms() - begin_ms;
		sched_yield();
	}
	cr_assert_eq(finish(&giver), -ETIMEDOUT);
	cr_assert_lt(slowest_ms, SHORT_US / 1000 / 2);
	cr_assert_eq(volley_server_free(server), 0);
}

/* Says hello and gives books; what it is offered cannot be sent to it. */
static void give_books_for_nothing(void)
{
	static struct vly_handover_counters counters = {
		.n_rx_drops = VOLLEY_RX_N_DROPS,
		.n_tx_drops = VOLLEY_TX_N_DROPS,
		.stats = { .size = sizeof(struct volley_stats) },
	};

	be(1);
	cr_assert_eq(vly_wire_recv(own, VLY_HANDOVER_HELLO), 0);
	shutdown(fds[1], SHUT_RD);
	say_hello(-1);
	cr_assert_eq(vly_wire_send(own, VLY_HANDOVER_BOOKS, 0, &counters, sizeof counters), 0);
}

/* The books of one that never had a socket do not pay for one that had, and is gone. */
Test(sharers, nobody_pays_for_somebody_else)
{
	struct volley_server *server = new_server();
	struct giver giver;

	cr_assert_eq(volley_server_listen(server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		     0);
	be(1);
	say_hello(-1);
	cr_assert_eq(volley_server_export_fds(server, fds[0], SHORT_US, NULL, 0), -ETIMEDOUT);
	vly_wire_free(own);
	let_go();
	close(fds[0]);
	close(fds[1]);
	cr_assert_eq(count_missing(server), 1);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	begin(&giver, server, TIMEOUT_US);
	give_books_for_nothing();
	cr_assert_eq(finish(&giver), -EPIPE);
	let_go();
	cr_assert_eq(volley_server_count_sharers(server), 0); /* and all is heard */
	cr_assert_eq(count_missing(server), 1);
	cr_assert_eq(volley_server_free(server), 0);
}
