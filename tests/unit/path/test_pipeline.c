/* SPDX-License-Identifier: MIT */

/*
 * The data path on a scripted backend: what reaches the callback, and that each datagram is counted
 * once. fake_server_close() checks the ledger's equations after every test. Replies are
 * test_reply.c's, and back-pressure is test_backlog.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "path/pipeline.h"
#include "seen.h"
#include "server/listeners.h"
#include "server/state.h"

/* Receiving ------------------------------------------------------------------------------------ */

Test(pipeline, a_view_says_all_about_its_datagram)
{
	struct fake_server fake = open_then(NULL);
	const struct volley_packet *packet = &seen.packets[0];

	fake_io_recv(fake.io,
		     &(struct fake_datagram){ .data = "hello", .len = 5, .peer = fake_peer(77) });
	cr_assert_eq(fake_server_run(&fake), 1);
	cr_assert_eq(seen.n_packets, 1);
	cr_assert_eq(packet->len, 5);
	cr_assert_eq(packet->capacity, 65535);
	cr_assert_arr_eq(packet->data, "hello", 5);
	cr_assert_eq(volley_addr_get_port(packet->peer), 77);
	cr_assert_eq(packet->local, fake.addr);
	cr_assert_eq(packet->listener.id, fake.listener.id);
	cr_assert_eq(packet->worker, fake.worker);
	cr_assert_eq(packet->flags, 0);
	cr_assert_eq(packet->reserved, 0);
	fake_server_close(&fake);
}

Test(pipeline, a_short_volley_is_the_last_one)
{
	struct fake_server fake = open_then(NULL);

	fake_io_recv_n(fake.io, 0, 64 + 10, 8);
	fake_io_recv_end(fake.io, 0);
	fake_io_recv_n(fake.io, 0, 1, 8);
	cr_assert_eq(fake_server_run(&fake), 74);
	cr_assert_eq(fake_io_n_recv_calls(fake.io), 2);
	cr_assert_not(vly_socks_get(&fake.worker->socks, 0)->is_ready);
	/* Nobody said that there is more. */
	cr_assert_eq(vly_pipeline_run_once(fake.worker, 4), 0);
	cr_assert_eq(fake_io_n_recv_calls(fake.io), 2);
	cr_assert_eq(fake_server_run(&fake), 1);
	cr_assert_eq(fake_server_stats(&fake).rx_batches, 3);
	cr_assert_eq(fake_server_stats(&fake).rx_syscalls, 3);
	fake_server_close(&fake);
}

Test(pipeline, the_budget_ends_a_pass_and_leaves_the_socket_ready)
{
	struct fake_server fake = open_then(NULL);

	fake_io_recv_n(fake.io, 0, 64 * 5, 8);
	cr_assert_eq(fake_server_run(&fake), 64 * 4);
	cr_assert(vly_socks_get(&fake.worker->socks, 0)->is_ready);
	cr_assert_eq(vly_pipeline_run_once(fake.worker, 1), 64);
	cr_assert_eq(seen.n_packets, 64 * 5);
	fake_server_close(&fake);
}

Test(pipeline, a_receive_error_costs_no_datagram)
{
	struct fake_server fake = open_then(NULL);

	fake_io_recv_error(fake.io, 0, -ECONNREFUSED);
	fake_io_recv_n(fake.io, 0, 3, 8);
	fake_io_recv_error(fake.io, 0, -EINTR);
	cr_assert_eq(fake_server_run(&fake), 3);
	cr_assert_eq(fake_server_stats(&fake).delivered, 3);
	cr_assert_eq(fake_server_stats(&fake).rx_messages, 3);
	fake_server_close(&fake);
}

Test(pipeline, a_socket_that_only_fails_ends_the_pass)
{
	struct fake_server fake = open_then(NULL);

	for (int i = 0; i < 10; i++)
		fake_io_recv_error(fake.io, 0, -ECONNREFUSED);
	cr_assert_eq(fake_server_run(&fake), 0);
	cr_assert_eq(fake_io_n_recv_calls(fake.io), 4, "the budget");
	fake_server_close(&fake);
}

Test(pipeline, views_come_in_groups_of_256)
{
	struct fake_server fake;

	seen.then = echo;
	fake_server_open(&fake, VOLLEY_CONFIG(.n_batch = 1024, .max_datagram_bytes = 64), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = look));
	fake_io_recv_n(fake.io, 0, 1024, 8);
	fake_io_recv_n(fake.io, 0, 257, 8);
	fake_server_run(&fake);
	cr_assert_eq(seen.n_calls, 6);
	for (uint32_t i = 0; i < 5; i++)
		cr_assert_eq(seen.n_of_call[i], 256);
	cr_assert_eq(seen.n_of_call[5], 1);
	cr_assert_eq(fake_io_n_sent(fake.io), 1281);
	for (uint32_t i = 0; i < 1281; i++)
		cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, i)->peer), i + 1);
	fake_server_close(&fake);
}

static uint32_t n_scalar;

static void count_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	cr_assert_eq(packet->worker, worker);
	cr_assert_eq(arg, &n_scalar);
	cr_assert_eq(packet->data[0], n_scalar);
	n_scalar++;
}

Test(pipeline, the_scalar_callback_gets_each_datagram_in_order)
{
	struct fake_server fake;

	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_packet = count_packet, .arg = &n_scalar));
	fake_io_recv_n(fake.io, 0, 70, 8);
	seen.n_packets = 0;
	fake.worker->server->shared.config.n_budget = 1;
	cr_assert_eq(fake_server_run(&fake), 64);
	cr_assert_eq(n_scalar, 64);
	cr_assert_eq(fake_server_stats(&fake).delivered, 64);
	fake_server_close(&fake);
}

static uint32_t n_ends, n_before_end;
static uint32_t n_begins, n_before_begin;

static void on_begin(struct volley_worker *worker, void *arg)
{
	cr_assert_eq(arg, &n_begins);
	cr_assert_eq(n_ends, n_begins, "the one before has ended");
	n_begins++;
	n_before_begin = (uint32_t)vly_socks_get(&worker->socks, 0)->account.counts.delivered;
}

static void on_end(struct volley_worker *worker, void *arg)
{
	(void)arg;
	n_ends++;
	n_before_end = (uint32_t)vly_socks_get(&worker->socks, 0)->account.counts.tx_sent;
}

Test(pipeline, on_batch_end_comes_after_the_send)
{
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.on_batch_end = on_end), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = echo));
	fake_io_recv_n(fake.io, 0, 5, 8);
	fake_server_run(&fake);
	cr_assert_eq(n_ends, 1);
	cr_assert_eq(n_before_end, 5);
	fake_server_close(&fake);
}

Test(pipeline, on_batch_begin_comes_before_the_callback)
{
	struct fake_server fake;

	fake_server_open(
		&fake,
		VOLLEY_CONFIG(.on_batch_begin = on_begin, .on_batch_end = on_end, .arg = &n_begins),
		ADDRESS, VOLLEY_LISTEN(.on_batch = echo, .flags = VOLLEY_LISTEN_WANT_TTL));
	fake_io_recv_n(fake.io, 0, 64 + 5, 8);
	fake_server_run(&fake);
	cr_assert_eq(n_begins, 2);
	cr_assert_eq(n_before_begin, 64, "the second volley was not delivered yet");
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 9, .flags = VLY_SLOT_CTRUNC });
	fake_server_run(&fake);
	cr_assert_eq(n_begins, 3, "also when nothing can be delivered");
	cr_assert_eq(n_ends, 3);
	fake_server_close(&fake);
}

/* One of each kind that is not simply a datagram, between two that are. */
static void recv_odd_ones(struct fake_server *fake)
{
	struct volley_addr nobody = { .len = 0 };

	fake_io_recv_n(fake->io, 0, 1, 8);
	fake_io_recv(fake->io, &(struct fake_datagram){ .len = 9, .flags = VLY_SLOT_TRUNCATED });
	fake_io_recv(fake->io, &(struct fake_datagram){ .len = 9, .flags = VLY_SLOT_CTRUNC });
	fake_io_recv(fake->io, &(struct fake_datagram){
				       .len = 9, .flags = VLY_SLOT_TRUNCATED | VLY_SLOT_CTRUNC });
	fake_io_recv(fake->io, &(struct fake_datagram){ .len = 9, .peer = &nobody });
	fake_io_recv_n(fake->io, 0, 1, 8);
}

Test(pipeline, odd_datagrams_are_dropped_by_name)
{
	struct fake_server fake;
	struct volley_stats stats;

	seen.then = echo;
	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = look, .flags = VOLLEY_LISTEN_WANT_TTL));
	recv_odd_ones(&fake);
	cr_assert_eq(fake_server_run(&fake), 6);
	stats = fake_server_stats(&fake);
	cr_assert_eq(seen.n_packets, 2);
	cr_assert_eq(stats.rx_datagrams, 6);
	cr_assert_eq(stats.delivered, 2);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_TRUNCATED], 1);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_CTRUNC], 2);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_BAD_SOURCE], 1);
	cr_assert_eq(stats.tx_sent, 2);
	fake_server_close(&fake);
}

/* What did not fit was switched on by somebody else. */
Test(pipeline, control_messages_that_nobody_asked_for_may_be_missing)
{
	struct fake_server fake;

	seen.then = echo;
	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = look, .flags = VOLLEY_LISTEN_NO_COALESCE));
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 9, .flags = VLY_SLOT_CTRUNC });
	fake_server_run(&fake);
	cr_assert_eq(seen.n_packets, 1);
	cr_assert_eq(fake_server_stats(&fake).rx_dropped[VOLLEY_RX_CTRUNC], 0);
	fake_server_close(&fake);
}

/* To everybody, to a group, and three in one message to a group; between two that are to us. */
static void recv_casts(struct fake_server *fake)
{
	fake_io_recv_n(fake->io, 0, 1, 8);
	fake_io_recv(fake->io, &(struct fake_datagram){ .len = 9, .flags = VLY_SLOT_BROADCAST });
	fake_io_recv(fake->io, &(struct fake_datagram){ .len = 9, .flags = VLY_SLOT_MULTICAST });
	fake_io_recv(fake->io, &(struct fake_datagram){
				       .len = 8, .segment_bytes = 3, .flags = VLY_SLOT_MULTICAST });
	fake_io_recv_n(fake->io, 0, 1, 8);
}

Test(pipeline, the_first_socket_serves_what_is_for_many)
{
	struct fake_server fake = open_then(echo);

	recv_casts(&fake);
	fake_server_run(&fake);
	cr_assert_eq(seen.n_packets, 7);
	cr_assert_eq(seen.packets[0].flags, 0);
	cr_assert_eq(seen.packets[1].flags, VOLLEY_PACKET_BROADCAST);
	for (int i = 2; i < 6; i++)
		cr_assert_eq(seen.packets[i].flags, VOLLEY_PACKET_MULTICAST);
	cr_assert_eq(seen.packets[6].flags, 0);
	cr_assert_eq(fake_server_stats(&fake).rx_dropped[VOLLEY_RX_COPY], 0);
	fake_server_close(&fake);
}

Test(pipeline, the_others_drop_it_as_a_copy)
{
	struct fake_server fake = open_then(echo);
	struct volley_stats stats;

	vly_socks_get(&fake.worker->socks, 0)->is_first = false;
	recv_casts(&fake);
	fake_io_recv(fake.io, &(struct fake_datagram){
				      .len = 9, .flags = VLY_SLOT_BROADCAST | VLY_SLOT_TRUNCATED });
	fake_server_run(&fake);
	stats = fake_server_stats(&fake);
	cr_assert_eq(seen.n_packets, 2);
	cr_assert_eq(stats.rx_datagrams, 8);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_COPY], 6, "datagrams, not messages");
	cr_assert_eq(stats.tx_requested, 2);
	fake_server_close(&fake);
}

Test(pipeline, deliver_truncated_delivers_and_says_so)
{
	struct fake_server fake;
	struct volley_stats stats;

	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = look, .flags = VOLLEY_LISTEN_DELIVER_TRUNCATED |
								  VOLLEY_LISTEN_WANT_TTL));
	recv_odd_ones(&fake);
	fake_server_run(&fake);
	stats = fake_server_stats(&fake);
	cr_assert_eq(seen.n_packets, 3);
	cr_assert_eq(seen.packets[0].flags, 0);
	cr_assert_eq(seen.packets[1].flags, VOLLEY_PACKET_TRUNCATED);
	cr_assert_eq(seen.packets[2].flags, 0);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_TRUNCATED], 0);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_CTRUNC], 2, "the control messages are missing");
	fake_server_close(&fake);
}

/* 70,000 bytes in segments of 1,000 do not fit: 65 are whole, one is cut, four are gone. */
static struct fake_server open_cut(uint32_t flags)
{
	struct fake_server fake;

	seen.then = NULL;
	fake_server_open(&fake, NULL, ADDRESS, VOLLEY_LISTEN(.on_batch = look, .flags = flags));
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 70000,
						       .segment_bytes = 1000,
						       .flags = VLY_SLOT_TRUNCATED });
	fake_server_run(&fake);
	return fake;
}

Test(pipeline, of_a_message_that_was_cut_each_datagram_is_counted)
{
	struct fake_server fake = open_cut(0);
	struct volley_stats stats = fake_server_stats(&fake);

	cr_assert_eq(seen.n_packets, 65);
	cr_assert_eq(stats.rx_datagrams, 70);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_TRUNCATED], 5);
	cr_assert_eq(stats.rx_coalesced, 1);
	fake_server_close(&fake);
}

Test(pipeline, of_a_message_that_was_cut_the_rest_is_delivered_to_those_who_want_it)
{
	struct fake_server fake = open_cut(VOLLEY_LISTEN_DELIVER_TRUNCATED);
	struct volley_stats stats = fake_server_stats(&fake);

	cr_assert_eq(seen.n_packets, 66);
	cr_assert_eq(seen.packets[64].flags, 0);
	cr_assert_eq(seen.packets[65].flags, VOLLEY_PACKET_TRUNCATED);
	cr_assert_eq(seen.packets[65].len, 535);
	cr_assert_eq(stats.rx_datagrams, 70);
	cr_assert_eq(stats.rx_dropped[VOLLEY_RX_TRUNCATED], 4);
	fake_server_close(&fake);
}

Test(pipeline, a_volley_of_nothing_deliverable_calls_nobody)
{
	struct fake_server fake = open_then(echo);

	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 9, .flags = VLY_SLOT_TRUNCATED });
	fake_server_run(&fake);
	cr_assert_eq(seen.n_calls, 0);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 0);
	fake_server_close(&fake);
}

/* Two listeners in one pass: each reply leaves by the socket its request came to. */
Test(pipeline, listeners_do_not_mix)
{
	struct fake_server fake = open_then(echo);

	cr_assert_eq(fake_server_listen(&fake, ADDRESS, VOLLEY_LISTEN(.on_batch = echo)), 1);
	fake_io_recv_n(fake.io, 1, 3, 8);
	fake_io_recv_n(fake.io, 0, 2, 8);
	cr_assert_eq(fake_server_run(&fake), 5);
	cr_assert_eq(fake_io_n_sent(fake.io), 5);
	for (uint32_t i = 0; i < 5; i++) {
		const struct fake_sent *sent = fake_io_sent(fake.io, i);

		cr_assert_eq(sent->listener, volley_addr_get_port(&sent->peer) <= 3 ? 1 : 0);
	}
	fake_server_close(&fake);
}

/* Waiting -------------------------------------------------------------------------------------- */

Test(pipeline, wait_gives_what_serve_serves)
{
	struct fake_server fake = open_then(echo);

	fake_io_recv_n(fake.io, 0, 3, 8);
	cr_assert_eq(vly_pipeline_wait(fake.worker, vly_socks_get(&fake.worker->socks, 0)), 3);
	cr_assert_eq(seen.n_packets, 0);
	vly_pipeline_serve(fake.worker, vly_socks_get(&fake.worker->socks, 0), 3);
	cr_assert_eq(seen.n_packets, 3);
	cr_assert_eq(fake_io_n_sent(fake.io), 3);
	fake_server_close(&fake);
}

Test(pipeline, wait_reports_cancellation_and_swallows_errors)
{
	struct fake_server fake = open_then(NULL);

	fake_io_recv_error(fake.io, 0, -ECANCELED);
	fake_io_recv_error(fake.io, 0, -ECONNREFUSED);
	cr_assert_eq(vly_pipeline_wait(fake.worker, vly_socks_get(&fake.worker->socks, 0)),
		     -ECANCELED);
	cr_assert_eq(vly_pipeline_wait(fake.worker, vly_socks_get(&fake.worker->socks, 0)), 0);
	cr_assert_eq(vly_pipeline_wait(fake.worker, vly_socks_get(&fake.worker->socks, 0)), 0);
	fake_server_close(&fake);
}

Test(pipeline, discard_counts_messages_past_errors)
{
	struct fake_server fake = open_then(NULL);

	fake_io_recv_n(fake.io, 0, 70, 8);
	fake_io_recv_error(fake.io, 0, -ECONNREFUSED);
	fake_io_recv_n(fake.io, 0, 5, 8);
	vly_pipeline_discard(fake.worker, vly_socks_get(&fake.worker->socks, 0));
	cr_assert_eq(seen.n_packets, 0);
	cr_assert_eq(fake_server_stats(&fake).discarded_at_close, 75);
	fake_server_close(&fake);
}

Test(pipeline, discard_gives_a_broken_socket_up)
{
	struct fake_server fake = open_then(NULL);

	for (int i = 0; i < 100; i++)
		fake_io_recv_error(fake.io, 0, -EIO);
	vly_pipeline_discard(fake.worker, vly_socks_get(&fake.worker->socks, 0));
	cr_assert_eq(fake_io_n_recv_calls(fake.io), 64);
	fake_server_close(&fake);
}

/* Metadata ------------------------------------------------------------------------------------- */

static void expect_metadata(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	const int *expected = arg;

	(void)worker, (void)n;
	cr_assert_eq(volley_packet_get_ttl(&packets[0]), expected[0]);
	cr_assert_eq(volley_packet_get_tos(&packets[0]), expected[1]);
	cr_assert_eq(volley_packet_get_interface(&packets[0]), expected[2]);
	cr_assert_eq(volley_packet_get_timestamp(&packets[0]), expected[3]);
}

Test(pipeline, metadata_is_there_when_wanted_and_found)
{
	const uint32_t all = VOLLEY_LISTEN_WANT_TTL | VOLLEY_LISTEN_WANT_TOS |
			     VOLLEY_LISTEN_WANT_INTERFACE | VOLLEY_LISTEN_WANT_TIMESTAMP;
	const uint32_t found = VLY_CMSG_LOCAL | VLY_CMSG_TTL | VLY_CMSG_TOS | VLY_CMSG_TIMESTAMP;
	int expected[4] = { 64, 7, 3, 99 };
	struct vly_cmsg_info info = {
		.ttl = 64, .tos = 7, .ifindex = 3, .timestamp_ns = 99, .found = found
	};
	struct fake_server fake;

	fake_server_open(&fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = expect_metadata, .arg = expected, .flags = all));
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .info = &info });
	fake_server_run(&fake);
	/* Wanted, but the kernel did not say. */
	for (int i = 0; i < 4; i++)
		expected[i] = -ENODATA;
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4 });
	fake_server_run(&fake);
	/* Said, but not wanted. */
	fake_server_listen(&fake, ADDRESS,
			   VOLLEY_LISTEN(.on_batch = expect_metadata, .arg = expected));
	fake_io_recv(fake.io, &(struct fake_datagram){ .listener = 1, .len = 4, .info = &info });
	fake_server_run(&fake);
	cr_assert_eq(fake_server_stats(&fake).delivered, 3);
	fake_server_close(&fake);
}
