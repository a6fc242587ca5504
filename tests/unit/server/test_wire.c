/* SPDX-License-Identifier: MIT */

/* The words of a hand-over, and what becomes of those that are none. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/loopback.h"
#include "lib/skip.h"
#include "lib/teardown.h"
#include "server/handover/wire.h"

enum { TIMEOUT_US = 10 * 1000 * 1000 };

static int fds[2];
static struct vly_handover *from;
static struct vly_handover *to;
static int n_open;

static void open_wire(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	from = vly_wire_new(NULL, fds[0], TIMEOUT_US);
	to = vly_wire_new(NULL, fds[1], TIMEOUT_US);
	cr_assert_not_null(from);
	cr_assert_not_null(to);
	n_open = loopback_n_fds();
}

static void close_wire(void)
{
	vly_wire_free(from);
	vly_wire_free(to);
	TEARDOWN_CHECK(loopback_n_fds() == n_open);
	close(fds[0]);
	close(fds[1]);
}

TestSuite(wire, .init = open_wire, .fini = close_wire, .timeout = 60);

Test(wire, words_arrive_with_what_belongs_to_them)
{
	int both[2] = { STDERR_FILENO, STDERR_FILENO };

	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_OFFER, 17, NULL, 0), 0);
	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_READY, 3, "\1\0\1", 3), 0);
	cr_assert_eq(vly_wire_send_fds(from, VLY_HANDOVER_SOCKETS, both, NULL, 2), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_OFFER), 0);
	cr_assert_eq(to->head.n, 17);
	cr_assert_eq(to->n_fds, 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_READY), 0);
	cr_assert_eq(to->head.n_bytes, 3);
	cr_assert_arr_eq(to->taken, "\1\0\1", 3);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_SOCKETS), 0);
	cr_assert_eq(to->n_fds, 2, "nobody takes them, so they go with the conversation");
}

/* What was in the room before would be taken for them, and be counted twice. */
Test(wire, books_without_counters_are_none)
{
	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_BOOKS, 0, NULL, 0), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_TAKEN), -EPROTO);
	cr_assert_eq(to->head.type, 0);
	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_BOOKS, 0, &from->counters, 8), 0);
	cr_assert_eq(vly_wire_take(to), -EPROTO);
	cr_assert_eq(to->head.type, 0);
	cr_assert_eq(
		vly_wire_send(from, VLY_HANDOVER_BOOKS, 0, &from->counters, sizeof from->counters),
		0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_TAKEN), -EPIPE);
	cr_assert_eq(to->head.type, VLY_HANDOVER_BOOKS);
}

/* By any other word somebody could fill our table of descriptors. */
Test(wire, descriptors_come_with_sockets_alone)
{
	int n_fds = loopback_n_fds();
	int both[2] = { STDERR_FILENO, STDERR_FILENO };
	uint8_t packet[64];
	ssize_t n;

	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_READY, 3, "\1\0\1", 3), 0);
	n = recv(fds[1], packet, sizeof packet, 0);
	cr_assert_gt(n, 0);
	cr_assert_eq(vly_unix_send(fds[0], packet, (size_t)n, both, 2), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_READY), -EPROTO);
	cr_assert_eq(loopback_n_fds(), n_fds);
	cr_assert_eq(vly_wire_send_fds(from, VLY_HANDOVER_SOCKETS, both, NULL, 2), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_SOCKETS), 0);
	cr_assert_eq(vly_wire_send_fds(from, VLY_HANDOVER_SOCKETS, both, NULL, 2), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_SOCKETS), 0);
	cr_assert_eq(loopback_n_fds(), n_fds + 2, "the first two are closed");
}

Test(wire, the_largest_packet_fits)
{
	static uint32_t drops[VLY_HANDOVER_N_BATCH];

	drops[VLY_HANDOVER_N_BATCH - 1] = 9;
	cr_assert_eq(
		vly_wire_send(from, VLY_HANDOVER_DROPS, VLY_HANDOVER_N_BATCH, drops, sizeof drops),
		0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_DROPS), 0);
	cr_assert_eq(memcmp(to->drops, drops, sizeof drops), 0);
}

Test(wire, another_word_is_refused_and_its_descriptors_closed)
{
	int fd = STDERR_FILENO;

	cr_assert_eq(vly_wire_send_fds(from, VLY_HANDOVER_SOCKETS, &fd, NULL, 1), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_TAKEN), -EPROTO);
	cr_assert_eq(to->n_fds, 0);
	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_RESUMED, 0, NULL, 0), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_TAKEN), -ECANCELED, "it serves on");
	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_RESUMED, 1, NULL, 0), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_TAKEN), -EPIPE, "but not for long");
}

/* A child that it has forked keeps its end open. */
Test(wire, a_dead_peer_is_heard_to_the_end_and_not_waited_for)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	to->peer_pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	if (to->peer_pidfd < 0)
		skip_test("no pidfd_open(2) here");
	cr_assert(vly_wire_is_peer_dead(to));
	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_TAKEN, 0, NULL, 0), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_TAKEN), 0);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_GONE), -EPIPE);
	cr_assert_eq(to->head.type, 0);
}

/* A packet with a head changed, from somebody who is no volley, or another version. */
static void expect_refused(size_t offset, uint32_t value, size_t n_bytes)
{
	uint8_t packet[64];
	struct vly_handover_head head;

	cr_assert_eq(vly_wire_send(from, VLY_HANDOVER_GONE, 0, NULL, 0), 0);
	cr_assert_eq(recv(fds[1], packet, sizeof packet, 0), sizeof head);
	memcpy(packet + offset, &value, sizeof value);
	cr_assert_eq(send(fds[0], packet, n_bytes, 0), (ssize_t)n_bytes);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_GONE), -EPROTO);
}

Test(wire, what_is_no_word_is_refused)
{
	size_t n = sizeof(struct vly_handover_head);

	expect_refused(offsetof(struct vly_handover_head, magic), 0x564c5901, n);
	expect_refused(offsetof(struct vly_handover_head, n_bytes), 1, n);
	expect_refused(offsetof(struct vly_handover_head, n_bytes), UINT32_MAX, n);
	expect_refused(offsetof(struct vly_handover_head, n_bytes), 0, n + 1);
	expect_refused(offsetof(struct vly_handover_head, n), 0, n - 1);
}

Test(wire, a_wait_ends_by_time_by_abort_and_with_the_peer)
{
	_Atomic bool abort = true;

	vly_wire_set_timeout(to, 1);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_OFFER), -ETIMEDOUT);
	vly_wire_set_timeout(to, TIMEOUT_US);
	to->abort = &abort;
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_OFFER), -ECANCELED);
	atomic_store(&abort, false);
	shutdown(fds[0], SHUT_RDWR);
	cr_assert_eq(vly_wire_recv(to, VLY_HANDOVER_OFFER), -EPIPE);
	cr_assert_eq(vly_wire_send(to, VLY_HANDOVER_TAKEN, 0, NULL, 0), -EPIPE);
}

/* Nobody reads: the socket fills. */
Test(wire, a_full_socket_is_waited_for_until_the_deadline)
{
	static struct vly_handover_counters counters;
	int r;

	vly_wire_set_timeout(from, 200 * 1000);
	do
		r = vly_wire_send(from, VLY_HANDOVER_COUNTERS, 0, &counters, sizeof counters);
	while (r == 0);
	cr_assert_eq(r, -ETIMEDOUT);
}

/* A process that knows fewer names has counted nothing under the others. */
Test(wire, drops_without_a_name_here_are_refused)
{
	static struct vly_handover_counters counters = {
		.n_rx_drops = VOLLEY_RX_N_DROPS - 1,
		.n_tx_drops = VOLLEY_TX_N_DROPS - 1,
		.stats = { .size = sizeof counters.stats, .rx_dropped = { 3 }, .tx_foreign = 4 },
	};
	struct volley_stats stats;

	cr_assert_eq(vly_wire_read_stats(&counters, &stats), 0);
	cr_assert(stats.rx_dropped[0] == 3 && stats.tx_foreign == 4);
	counters.n_rx_drops = VOLLEY_RX_N_DROPS + 1;
	cr_assert_eq(vly_wire_read_stats(&counters, &stats), -EPROTO);
	counters.n_rx_drops = VOLLEY_RX_N_DROPS;
	counters.n_tx_drops = VOLLEY_TX_N_DROPS + 1;
	cr_assert_eq(vly_wire_read_stats(&counters, &stats), -EPROTO);
}
