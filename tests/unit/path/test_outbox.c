/* SPDX-License-Identifier: MIT */

/*
 * Coalescing as the engine does it: super-packets become views, replies become segmented messages,
 * and what the kernel refuses as a whole is sent one by one, each datagram counted once.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "lib/fake_io.h"
#include "path/backlog.h"
#include "path/listener.h"
#include "path/pipeline.h"
#include "server/listeners.h"
#include "server/state.h"
#include "sys/clock.h"

#define ADDRESS "127.0.0.1:0"

static uint32_t n_logs;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)text, (void)arg;
	if (level == VOLLEY_LOG_WARNING)
		n_logs++;
}

static uint32_t reply_bytes;
static uint32_t n_replies = 1;

static void reply(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	static uint8_t bytes[4096];

	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < n_replies; k++) {
			bytes[0] = (uint8_t)k;
			cr_assert_eq(volley_packet_reply(&packets[i], bytes, reply_bytes), 0);
		}
}

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

/* As a kernel with segments of up to 64 does it, whatever this one can. */
static struct fake_server open_segmenting(uint32_t n, uint32_t n_bytes)
{
	struct fake_server fake;

	n_replies = n;
	reply_bytes = n_bytes;
	fake_server_open(&fake, VOLLEY_CONFIG(.log = on_log), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = reply));
	vly_socks_get(&fake.worker->socks, 0)->limits.now = (struct vly_coalesce_limits){
		.n_segments = 64, .segment_bytes = 65535
	};
	return fake;
}

static void ask(struct fake_server *fake, uint16_t port)
{
	fake_io_recv(fake->io, &(struct fake_datagram){ .len = 4, .peer = fake_peer(port) });
	fake_server_run(fake);
}

static void expect_numbered(const struct fake_server *fake, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		cr_assert_eq(fake_io_sent(fake->io, first + i)->data[0], (uint8_t)i);
}

/* Sending -------------------------------------------------------------------------------------- */

Test(outbox, equal_replies_to_one_peer_are_one_message)
{
	struct fake_server fake = open_segmenting(10, 100);
	struct volley_stats stats;

	ask(&fake, 5);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_sent, 10);
	cr_assert_eq(stats.tx_messages, 1);
	cr_assert_eq(stats.tx_segmented, 1);
	cr_assert_eq(fake_io_sent(fake.io, 9)->message, 0);
	expect_numbered(&fake, 0, 10);
	fake_server_close(&fake);
}

Test(outbox, no_coalesce_turns_both_directions_off)
{
	struct fake_server fake;

	n_replies = 10;
	reply_bytes = 100;
	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = reply, .flags = VOLLEY_LISTEN_NO_COALESCE));
	cr_assert_not(vly_listeners_get(fake.server, 0)->coalesces_in);
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_messages, 10);
	cr_assert_eq(fake_server_stats(&fake).tx_segmented, 0);
	fake_server_close(&fake);
}

Test(outbox, by_size_alternating_lengths_leave_in_two_messages)
{
	struct fake_server fake;
	struct volley_stats stats;

	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = echo, .flags = VOLLEY_LISTEN_GROUP_BY_SIZE));
	vly_socks_get(&fake.worker->socks, 0)
		->limits.now.n_segments = 64; /* whatever this kernel can */
	for (uint32_t i = 0; i < 10; i++)
		fake_io_recv(fake.io, &(struct fake_datagram){ .len = i % 2 ? 40 : 50,
							       .peer = fake_peer(7) });
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 50, .peer = fake_peer(8) });
	/* The longer ones of the first client cannot leave in company, and are sent alone. */
	fake_io_send_result(fake.io, -EPERM);
	fake_server_run(&fake);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_requested, 11);
	cr_assert_eq(stats.tx_sent, 11);
	cr_assert_eq(stats.tx_healed, 1);
	cr_assert_eq(stats.tx_segmented, 1);
	cr_assert_eq(stats.tx_messages, 6 + 1 + 1);
	for (size_t i = 0; i < 11; i++)
		cr_assert_eq(fake_io_sent(fake.io, i)->len, i < 5 || i == 6 ? 50 : 40);
	fake_server_close(&fake);
}

/* The message as a whole is refused; so is the third datagram by itself. */
static void heal(int error)
{
	struct fake_server fake = open_segmenting(5, 100);
	struct volley_stats stats;

	fake_io_send_result(fake.io, error);
	fake_io_send_result(fake.io, 2);
	fake_io_send_result(fake.io, -EPERM);
	ask(&fake, 5);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_sent, 4);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_EPERM], 1);
	cr_assert_eq(stats.tx_healed, 1);
	cr_assert_eq(stats.tx_segmented, 0);
	cr_assert_eq(fake_io_sent(fake.io, 1)->data[0], 1);
	cr_assert_eq(fake_io_sent(fake.io, 2)->data[0], 3);
	fake_server_close(&fake);
}

Test(outbox, a_refused_message_is_sent_one_by_one)
{
	heal(-EPERM);
	heal(-EMSGSIZE);
	heal(-EINVAL);
	heal(-EIO);
	heal(-ENETUNREACH);
}

Test(outbox, others_in_the_batch_are_not_touched)
{
	struct fake_server fake = open_segmenting(3, 100);

	fake_io_send_result(fake.io, 1);
	fake_io_send_result(fake.io, -EPERM);
	for (uint16_t port = 1; port <= 3; port++)
		fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .peer = fake_peer(port) });
	fake_server_run(&fake);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 9);
	cr_assert_eq(fake_server_stats(&fake).tx_segmented, 2);
	cr_assert_eq(fake_server_stats(&fake).tx_healed, 1);
	for (uint32_t i = 0; i < 9; i++) {
		cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, i)->peer), 1 + i / 3);
		cr_assert_eq(fake_io_sent(fake.io, i)->data[0], i % 3);
	}
	fake_server_close(&fake);
}

Test(outbox, a_size_that_is_refused_is_not_tried_again_for_a_while)
{
	struct fake_server fake = open_segmenting(4, 1400);
	struct vly_sock *sock = vly_socks_get(&fake.worker->socks, 0);
	uint32_t n_calls;

	fake_io_send_result(fake.io, -EMSGSIZE);
	ask(&fake, 5);
	cr_assert_eq(sock->limits.now.segment_bytes, 1399);
	cr_assert_eq(n_logs, 1);
	n_calls = fake_io_n_send_calls(fake.io);
	ask(&fake, 5);
	cr_assert_eq(fake_io_n_send_calls(fake.io), n_calls + 1);
	cr_assert_eq(fake_server_stats(&fake).tx_segmented, 0, "plain datagrams");
	/* Shorter ones still leave together. */
	reply_bytes = 1300;
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_segmented, 1);
	/* The limit has a floor, below which every path is wide enough. */
	reply_bytes = 600;
	fake_io_send_result(fake.io, -EMSGSIZE);
	ask(&fake, 5);
	cr_assert_eq(sock->limits.now.segment_bytes, 1232);
	cr_assert_eq(n_logs, 1, "said once");
	/* After a while routes may have changed. */
	sock->limits.until_ns = vly_clock_get_ns() - 1;
	sock->listener->limits.n_segments = 64;
	reply_bytes = 1400;
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_segmented, 2);
	fake_server_close(&fake);
}

/* The address to leave from is not ours, say: others go on in company. */
Test(outbox, what_fails_alone_as_well_teaches_nothing)
{
	struct fake_server fake = open_segmenting(4, 1400);

	fake_io_send_always(fake.io, -EINVAL);
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_EINVAL], 4);
	cr_assert_eq(fake_server_stats(&fake).tx_healed, 1);
	cr_assert_eq(n_logs, 0);
	fake_io_send_always(fake.io, INT32_MAX);
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_segmented, 1);
	fake_server_close(&fake);
}

Test(outbox, a_device_that_cannot_turns_it_off_for_the_socket)
{
	struct fake_server fake = open_segmenting(4, 100);

	fake_io_send_result(fake.io, -EIO);
	fake_io_send_result(fake.io, 4);
	fake_io_send_result(fake.io, -ENOPROTOOPT);
	fake_io_send_result(fake.io, 4);
	fake_io_send_result(fake.io, -EIO);
	for (int i = 0; i < 3; i++)
		ask(&fake, 5);
	cr_assert_eq(vly_socks_get(&fake.worker->socks, 0)->limits.now.n_segments, 1);
	cr_assert_eq(fake_server_stats(&fake).tx_healed, 3);
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_healed, 3);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 16);
	fake_server_close(&fake);
}

Test(outbox, a_full_socket_queues_a_message_datagram_by_datagram)
{
	struct fake_server fake = open_segmenting(6, 100);

	fake_io_send_result(fake.io, -EAGAIN);
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 6);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 6);
	expect_numbered(&fake, 0, 6);
	/* And when it fills while a message is sent one by one. */
	fake_io_send_result(fake.io, -EPERM);
	fake_io_send_result(fake.io, 2);
	fake_io_send_result(fake.io, -ENOBUFS);
	ask(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 4);
	vly_backlog_flush(fake.worker, vly_clock_get_ns() + 1000000);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 12);
	expect_numbered(&fake, 6, 6);
	fake_server_close(&fake);
}

/* Receiving ------------------------------------------------------------------------------------ */

static struct volley_packet views[2048];
static uint32_t n_views;

static void keep_and_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	(void)worker, (void)arg;
	memcpy(views + n_views, packets, n * sizeof *packets);
	n_views += (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		memset(packets[i].data, (int)('A' + (n_views + i) % 26), packets[i].capacity);
		cr_assert_eq(volley_packet_reply(&packets[i], packets[i].data, packets[i].len), 0);
	}
}

static void receive_one(uint32_t len, uint32_t segment_bytes, uint32_t expected)
{
	static uint8_t data[65536];
	struct fake_server fake;
	struct volley_stats stats;

	n_views = 0;
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i / (segment_bytes ? segment_bytes : len));
	fake_server_open(&fake, NULL, ADDRESS, VOLLEY_LISTEN(.on_batch = keep_and_echo));
	fake_io_recv(fake.io, &(struct fake_datagram){
				      .data = data, .len = len, .segment_bytes = segment_bytes });
	fake_server_run(&fake);
	stats = fake_server_stats(&fake);
	cr_assert_eq(n_views, expected);
	cr_assert_eq(stats.rx_datagrams, expected);
	cr_assert_eq(stats.rx_messages, 1);
	cr_assert_eq(stats.rx_coalesced, expected > 1);
	cr_assert_eq(stats.tx_sent, expected);
	for (uint32_t i = 0; i < expected; i++) {
		uint32_t rest = len - i * segment_bytes;

		cr_assert_eq(views[i].data, views[0].data + (size_t)i * segment_bytes);
		cr_assert_eq(views[i].len,
			     expected > 1 && rest > segment_bytes ? segment_bytes : rest);
		if (expected > 1)
			cr_assert_eq(views[i].capacity, views[i].len, "the next is unread");
		cr_assert_eq(fake_io_sent(fake.io, i)->len, views[i].len);
	}
	fake_server_close(&fake);
}

Test(outbox, super_packets_become_views)
{
	receive_one(1000, 100, 10);
	receive_one(1001, 100, 11);
	receive_one(1099, 100, 11);
	receive_one(100, 100, 1);
	receive_one(99, 100, 1);
	receive_one(0, 100, 1);
	receive_one(100, 0, 1);
	receive_one(101, 100, 2);
	receive_one(65535, 64, 1024);
	receive_one(700, 1, 700);
}
