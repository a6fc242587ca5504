/* SPDX-License-Identifier: MIT */

/*
 * How a line leaves: in company, as what leaves at once does (test_outbox.c), whatever the kernel
 * takes of it each time. To each peer in the order in which it was sent.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "lib/fake_io.h"
#include "path/backlog.h"
#include "path/listener.h"
#include "path/pipeline.h"
#include "path/send.h"
#include "server/state.h"
#include "sys/clock.h"

enum { N_PEERS = 5, LEN = 100 };

static void ignore(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

/* As with a kernel that takes up to 64 segments, whatever this one can. */
static struct fake_server open_server(uint32_t flags)
{
	struct vly_coalesce_limits limits = { .n_segments = 64,
					      .segment_bytes = 65535,
					      .by_size = flags & VOLLEY_LISTEN_GROUP_BY_SIZE };
	struct fake_server fake;
	struct vly_sock *sock;

	fake_server_open(&fake, NULL, "127.0.0.1:0",
			 VOLLEY_LISTEN(.on_batch = ignore, .flags = flags));
	sock = vly_socks_get(&fake.worker->socks, 0);
	sock->listener->limits = limits;
	sock->limits.now = limits;
	return fake;
}

/* What is sent has a number, which counts on for each peer, and is `len` bytes long. */
static uint16_t n_of[N_PEERS];

static void send_numbered(struct fake_server *fake, uint16_t peer, uint32_t len)
{
	uint8_t data[2 * LEN] = { 0 };
	uint16_t number = n_of[peer]++;

	memcpy(data, &number, sizeof number);
	cr_assert_eq(
		vly_send_add(fake->worker, fake->listener, fake_peer(peer + 1), data, len, NULL),
		0);
}

/* So many in turn to two peers stand in a line. */
static void queue_pairs(struct fake_server *fake, uint32_t n)
{
	fake_io_send_result(fake->io, -EAGAIN);
	for (uint32_t i = 0; i < n; i++)
		send_numbered(fake, i % 2, LEN);
	vly_pipeline_flush(fake->worker);
	cr_assert_eq(fake_server_stats(fake).tx_queued, n);
}

static void flush(struct fake_server *fake)
{
	vly_backlog_flush(fake->worker, vly_clock_get_ns());
	vly_pipeline_publish(fake->worker);
}

static uint16_t read_number(const struct fake_sent *sent)
{
	uint16_t number;

	memcpy(&number, sent->data, sizeof number);
	return number;
}

/* Each peer got what it got in order; all of it, if nothing may be missing. */
static void check_order(const struct fake_server *fake, bool may_miss)
{
	uint16_t next[N_PEERS] = { 0 };

	for (uint32_t i = 0; i < fake_io_n_sent(fake->io); i++) {
		const struct fake_sent *sent = fake_io_sent(fake->io, i);
		uint16_t peer = volley_addr_get_port(&sent->peer) - 1;
		uint16_t number = read_number(sent);

		cr_assert(may_miss ? number >= next[peer] : number == next[peer],
			  "peer %u gets %u, and not %u", peer, number, next[peer]);
		next[peer] = number + 1;
	}
	if (!may_miss)
		cr_assert_arr_eq(next, n_of, sizeof next);
}

Test(sender, a_line_leaves_segmented)
{
	struct fake_server fake = open_server(0);

	queue_pairs(&fake, 20);
	flush(&fake);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 2);
	cr_assert_eq(fake_server_stats(&fake).tx_messages, 2);
	cr_assert_eq(fake_server_stats(&fake).tx_segmented, 2);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 20);
	check_order(&fake, false);
	fake_server_close(&fake);
}

Test(sender, what_the_kernel_does_not_take_stays_in_line)
{
	struct fake_server fake = open_server(0);
	struct vly_sock *sock = vly_socks_get(&fake.worker->socks, 0);

	queue_pairs(&fake, 20);
	fake_io_send_result(fake.io, 1);
	fake_io_send_result(fake.io, -ENOBUFS);
	flush(&fake);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 10, "all of the first peer");
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 10);
	cr_assert_eq(sock->backlog.retry_us, 500, "a success begins the pauses anew");
	send_numbered(&fake, 0, LEN);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(sock->backlog.n, 11);
	vly_backlog_flush(fake.worker, sock->backlog.retry_ns);
	vly_pipeline_publish(fake.worker);
	check_order(&fake, false);
	cr_assert_eq(sock->backlog.n, 0);
	fake_server_close(&fake);
}

/* One by one, and in the middle of that there is no more room: the rest is a message again. */
Test(sender, a_message_of_the_line_that_is_refused_is_cut_up)
{
	struct fake_server fake = open_server(0);
	struct volley_stats stats;

	queue_pairs(&fake, 20);
	fake_io_send_result(fake.io, -EPERM); /* the first peer's */
	fake_io_send_result(fake.io, 3);
	fake_io_send_result(fake.io, -EPERM);
	fake_io_send_result(fake.io, 2);
	fake_io_send_result(fake.io, -EAGAIN);
	flush(&fake);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_healed, 1);
	cr_assert_eq(stats.tx_sent, 5);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_EPERM], 1);
	cr_assert_eq(stats.tx_queued, 14);
	flush(&fake);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_sent, 19);
	cr_assert_eq(stats.tx_segmented, 2, "the four that were left, and the second peer's");
	check_order(&fake, true);
	fake_server_close(&fake);
}

/* The same of what never stood in line: what is left of it does, in order. */
Test(sender, a_message_that_is_refused_may_end_in_line)
{
	struct fake_server fake = open_server(0);

	fake_io_send_result(fake.io, -EPERM);
	fake_io_send_result(fake.io, 4);
	fake_io_send_result(fake.io, -EAGAIN);
	for (uint32_t i = 0; i < 20; i++)
		send_numbered(&fake, i % 2, LEN);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 4);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 16);
	flush(&fake);
	check_order(&fake, false);
	fake_server_close(&fake);
}

static uint64_t seed = 1;

static uint32_t draw(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % n;
}

static void draw_result(struct fake_server *fake)
{
	static const int errors[] = { -EAGAIN, -EAGAIN, -ENOBUFS, -EPERM, -EMSGSIZE };

	fake_io_send_result(fake->io, draw(2) ? errors[draw(5)] : (int)draw(4) + 1);
}

/* Whatever the kernel says, each of them ends in one count, and no peer sees them out of order. */
Test(sender, order_is_kept_by_chance)
{
	struct fake_server fake = open_server(0);
	struct vly_sock *sock = vly_socks_get(&fake.worker->socks, 0);
	uint64_t now_ns = vly_clock_get_ns();

	for (uint32_t round = 0; round < 300; round++) {
		for (uint32_t i = draw(20); i > 0; i--)
			draw_result(&fake);
		for (uint32_t i = draw(60); i > 0; i--)
			send_numbered(&fake, (uint16_t)draw(N_PEERS), LEN + draw(3) / 2);
		vly_pipeline_flush(fake.worker);
		now_ns += 8000000;
		vly_backlog_flush(fake.worker, now_ns);
		vly_pipeline_publish(fake.worker);
		fake_server_stats(&fake); /* balances */
		sock->limits.now = sock->listener->limits;
	}
	check_order(&fake, true);
	cr_assert_gt(fake_server_stats(&fake).tx_segmented, 300);
	fake_server_close(&fake);
}

/* Equally long ones find each other in a line, too. */
Test(sender, a_line_is_grouped_by_size)
{
	struct fake_server fake = open_server(VOLLEY_LISTEN_GROUP_BY_SIZE);

	fake_io_send_result(fake.io, -EAGAIN);
	for (uint32_t i = 0; i < 20; i++)
		send_numbered(&fake, 0, LEN + i % 2);
	vly_pipeline_flush(fake.worker);
	flush(&fake);
	cr_assert_leq(fake_server_stats(&fake).tx_messages, 2);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 20);
	fake_server_close(&fake);
}
