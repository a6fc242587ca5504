/* SPDX-License-Identifier: MIT */

/*
 * What becomes of replies that the kernel does not take: one error costs one datagram under its
 * errno, a full socket costs order nothing and time a bound. The clock is an argument of the
 * backlog, so nothing here waits.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "lib/fake_io.h"
#include "path/backlog.h"
#include "path/pipeline.h"
#include "server/state.h"
#include "sys/clock.h"
#include "worker/chores.h"

#define ADDRESS "127.0.0.1:0"

enum { BACKLOG_US = 50000 };

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(volley_packet_reply(&packets[i], packets[i].data, packets[i].len), 0);
}

static struct fake_server open_server(uint32_t n_backlog)
{
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.n_backlog = n_backlog, .backlog_us = BACKLOG_US),
			 ADDRESS, VOLLEY_LISTEN(.on_batch = echo));
	return fake;
}

/* n requests from n peers, whose ports count on from the last one's. */
static void serve(struct fake_server *fake, uint32_t n)
{
	fake_io_recv_n(fake->io, 0, n, 8);
	cr_assert_eq(fake_server_run(fake), n);
}

static uint16_t sent_port(const struct fake_server *fake, uint32_t i)
{
	return volley_addr_get_port(&fake_io_sent(fake->io, i)->peer);
}

/* What was sent went to ports 1, 2, ... n. */
static void expect_in_order(const struct fake_server *fake, uint32_t n)
{
	cr_assert_eq(fake_io_n_sent(fake->io), n, "%u were sent", fake_io_n_sent(fake->io));
	for (uint32_t i = 0; i < n; i++)
		cr_assert_eq(sent_port(fake, i), i + 1, "at %u: %u", i, sent_port(fake, i));
}

static struct vly_sock *sock_of(struct fake_server *fake)
{
	return vly_socks_get(&fake->worker->socks, 0);
}

/* Errors --------------------------------------------------------------------------------------- */

Test(backlog, a_partial_send_goes_on_with_the_rest)
{
	struct fake_server fake = open_server(0);

	fake_io_send_result(fake.io, 3);
	fake_io_send_result(fake.io, 1);
	serve(&fake, 10);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 3);
	expect_in_order(&fake, 10);
	fake_server_close(&fake);
}

/* An error at position k: the others arrive, in order, and the one is under its name. */
static void fail_at(uint32_t k, int error, enum volley_tx_drop reason)
{
	struct fake_server fake = open_server(0);
	struct volley_stats stats;

	if (k > 0)
		fake_io_send_result(fake.io, (int)k);
	fake_io_send_result(fake.io, error);
	serve(&fake, 10);
	stats = fake_server_stats(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 9);
	for (uint32_t i = 0; i < 9; i++)
		cr_assert_eq(sent_port(&fake, i), i < k ? i + 1 : i + 2);
	cr_assert_eq(stats.tx_requested, 10);
	cr_assert_eq(stats.tx_sent, 9);
	cr_assert_eq(stats.tx_dropped[reason], 1, "errno %d at %u", -error, k);
	fake_server_close(&fake);
}

Test(backlog, an_error_in_any_position_costs_exactly_that_datagram)
{
	for (uint32_t k = 0; k < 10; k++)
		fail_at(k, -EPERM, VOLLEY_TX_EPERM);
}

Test(backlog, errors_are_counted_under_their_names)
{
	fail_at(4, -EMSGSIZE, VOLLEY_TX_EMSGSIZE);
	fail_at(4, -ENETUNREACH, VOLLEY_TX_ENETUNREACH);
	fail_at(4, -EHOSTUNREACH, VOLLEY_TX_EHOSTUNREACH);
	fail_at(4, -EACCES, VOLLEY_TX_EACCES);
	fail_at(4, -EINVAL, VOLLEY_TX_EINVAL);
	fail_at(4, -EIO, VOLLEY_TX_EOTHER);
	fail_at(4, -ENOMEM, VOLLEY_TX_EOTHER);
	fail_at(4, -EIO, VOLLEY_TX_EOTHER);
	fail_at(4, -ENODEV, VOLLEY_TX_ENETUNREACH);
}

Test(backlog, a_socket_that_refuses_all_drops_all_by_name)
{
	struct fake_server fake = open_server(0);

	fake_io_send_always(fake.io, -ENETUNREACH);
	serve(&fake, 50);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_ENETUNREACH], 50);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 50, "each was tried once");
	fake_server_close(&fake);
}

/* Standing in line ----------------------------------------------------------------------------- */

Test(backlog, a_full_socket_queues_and_keeps_order)
{
	struct fake_server fake = open_server(0);
	struct volley_stats stats;

	fake_io_send_result(fake.io, 3);
	fake_io_send_result(fake.io, -EAGAIN);
	serve(&fake, 10);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_sent, 3);
	cr_assert_eq(stats.tx_queued, 7);
	/* New replies stand behind them, and the kernel is not asked. */
	serve(&fake, 10);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 2);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 17);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	expect_in_order(&fake, 20);
	cr_assert_eq(sock_of(&fake)->backlog.n, 0);
	/* The line is gone: replies leave directly again. */
	serve(&fake, 1);
	expect_in_order(&fake, 21);
	fake_server_close(&fake);
}

Test(backlog, a_flush_shows_in_the_statistics_at_once)
{
	struct fake_server fake = open_server(0);

	fake_io_send_result(fake.io, -EAGAIN);
	serve(&fake, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 5);
	vly_chores_run_timers(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 0);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 5);
	fake_server_close(&fake);
}

Test(backlog, bytes_and_addresses_survive_the_wait)
{
	struct fake_server fake;
	struct vly_cmsg_info info = { .reply_ifindex = 3, .found = VLY_CMSG_LOCAL };

	fake_server_open(&fake, NULL, "0.0.0.0:0", VOLLEY_LISTEN(.on_batch = echo));
	info.local = *fake_peer(0);
	fake_io_send_result(fake.io, -EAGAIN);
	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "one", .len = 3, .info = &info });
	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "", .len = 0 });
	fake_server_run(&fake);
	/* The slots are used again meanwhile. */
	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "two", .len = 3 });
	fake_server_run(&fake);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	expect_in_order(&fake, 3);
	cr_assert_arr_eq(fake_io_sent(fake.io, 0)->data, "one", 3);
	cr_assert_eq(fake_io_sent(fake.io, 0)->local.in.sin_addr.s_addr,
		     info.local.in.sin_addr.s_addr);
	cr_assert_eq(fake_io_sent(fake.io, 0)->ifindex, 3);
	cr_assert_eq(fake_io_sent(fake.io, 1)->len, 0);
	cr_assert_eq(fake_io_sent(fake.io, 1)->local.len, 0);
	cr_assert_arr_eq(fake_io_sent(fake.io, 2)->data, "two", 3);
	fake_server_close(&fake);
}

Test(backlog, a_long_line_leaves_in_pieces)
{
	struct fake_server fake = open_server(0);

	fake_io_send_result(fake.io, -EAGAIN); /* the volley's */
	fake_io_send_result(fake.io, 64);
	fake_io_send_result(fake.io, 10);
	fake_io_send_result(fake.io, -EAGAIN);
	for (int i = 0; i < 5; i++)
		serve(&fake, 60);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	expect_in_order(&fake, 74);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 226);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	expect_in_order(&fake, 300);
	cr_assert_leq(fake_io_max_send(fake.io), 128);
	fake_server_close(&fake);
}

Test(backlog, an_error_in_the_line_costs_exactly_that_datagram)
{
	struct fake_server fake = open_server(0);
	struct volley_stats stats;

	fake_io_send_result(fake.io, -EAGAIN);
	fake_io_send_result(fake.io, 2);
	fake_io_send_result(fake.io, -EHOSTUNREACH);
	serve(&fake, 5);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_sent, 4);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_EHOSTUNREACH], 1);
	cr_assert_eq(sent_port(&fake, 1), 2);
	cr_assert_eq(sent_port(&fake, 2), 4);
	fake_server_close(&fake);
}

Test(backlog, a_full_line_drops_the_newest)
{
	struct fake_server fake = open_server(4);
	struct volley_stats stats;

	fake_io_send_result(fake.io, -EAGAIN);
	serve(&fake, 10);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_queued, 4);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_BACKLOG_FULL], 6);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	expect_in_order(&fake, 4);
	fake_server_close(&fake);
}

static void reply_20_large(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	(void)worker, (void)n, (void)arg;
	for (int i = 0; i < 20; i++)
		cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, 40000), 0);
}

Test(backlog, few_large_replies_may_wait)
{
	struct fake_server fake;
	struct volley_stats stats;

	fake_server_open(&fake, NULL, ADDRESS, VOLLEY_LISTEN(.on_batch = reply_20_large));
	fake_io_send_always(fake.io, -EAGAIN);
	serve(&fake, 1);
	stats = fake_server_stats(&fake);
	cr_assert_gt(stats.tx_queued, 0);
	cr_assert_gt(stats.tx_dropped[VOLLEY_TX_BACKLOG_FULL], 0);
	cr_assert_eq(stats.tx_queued + stats.tx_dropped[VOLLEY_TX_BACKLOG_FULL], 20);
	fake_server_close(&fake);
}

/* Time ----------------------------------------------------------------------------------------- */

Test(backlog, nothing_queued_is_no_timeout)
{
	struct fake_server fake = open_server(0);

	cr_assert_eq(vly_backlog_get_timeout(fake.worker, 0), -1);
	serve(&fake, 5);
	cr_assert_eq(vly_backlog_get_timeout(fake.worker, 0), -1);
	fake_server_close(&fake);
}

Test(backlog, eagain_waits_for_room_until_the_deadline)
{
	struct fake_server fake = open_server(0);
	uint64_t before = vly_clock_get_ns();
	uint64_t deadline;

	fake_io_send_always(fake.io, -EAGAIN);
	serve(&fake, 3);
	deadline = sock_of(&fake)->backlog.first->deadline_ns;
	cr_assert_eq(sock_of(&fake)->backlog.retry_us, 0);
	cr_assert_geq(deadline, before + BACKLOG_US * 1000);
	cr_assert_leq(deadline, vly_clock_get_ns() + BACKLOG_US * 1000);
	cr_assert_eq(vly_backlog_get_timeout(fake.worker, deadline - 1000), 1000);
	cr_assert_eq(vly_backlog_get_timeout(fake.worker, deadline + 1), 0);
	vly_backlog_flush(fake.worker, deadline - 1);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 3);
	/* Later than the last one's deadline: pushed within a second of the first. */
	vly_backlog_flush(fake.worker, deadline + 1000000000);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_TIMEOUT], 3);
	cr_assert_eq(vly_backlog_get_timeout(fake.worker, deadline), -1);
	fake_server_close(&fake);
}

Test(backlog, only_what_is_due_times_out)
{
	struct fake_server fake = open_server(0);
	uint64_t first;

	fake_io_send_always(fake.io, -EAGAIN);
	serve(&fake, 1);
	first = sock_of(&fake)->backlog.first->deadline_ns;
	serve(&fake, 1);
	sock_of(&fake)->backlog.last->deadline_ns = first + 1;
	vly_backlog_flush(fake.worker, first);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_TIMEOUT], 1);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 1);
	cr_assert_eq(vly_backlog_get_timeout(fake.worker, first), 1);
	fake_server_close(&fake);
}

/* Each retry comes at its time and not before; returns the pause that follows. */
static uint32_t retry(struct fake_server *fake)
{
	struct vly_sock *sock = sock_of(fake);
	uint64_t at = sock->backlog.retry_ns;
	uint32_t n_calls = fake_io_n_send_calls(fake->io);

	vly_backlog_flush(fake->worker, at - 1);
	cr_assert_eq(fake_io_n_send_calls(fake->io), n_calls, "tried before its time");
	cr_assert_eq(vly_backlog_get_timeout(fake->worker, at - 700), 700);
	cr_assert_eq(vly_backlog_get_timeout(fake->worker, at), 0);
	vly_backlog_flush(fake->worker, at);
	cr_assert_eq(fake_io_n_send_calls(fake->io), n_calls + 1);
	if (sock->backlog.n > 0 && sock->backlog.retry_us > 0)
		cr_assert_eq(sock->backlog.retry_ns, at + sock->backlog.retry_us * UINT64_C(1000));
	return sock->backlog.retry_us;
}

Test(backlog, enobufs_is_retried_by_the_clock)
{
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.backlog_us = 10000000), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = echo));
	fake_io_send_always(fake.io, -ENOBUFS);
	serve(&fake, 3);
	cr_assert_eq(sock_of(&fake)->backlog.retry_us, 500);
	cr_assert_eq(retry(&fake), 1000);
	cr_assert_eq(retry(&fake), 2000);
	cr_assert_eq(retry(&fake), 4000);
	cr_assert_eq(retry(&fake), 8000);
	cr_assert_eq(retry(&fake), 8000);
	/* A reply that joins the line does not change the pause. */
	serve(&fake, 1);
	cr_assert_eq(sock_of(&fake)->backlog.retry_us, 8000);
	/* A success, even of a part, begins anew; so does the other error. */
	fake_io_send_always(fake.io, INT32_MAX);
	retry(&fake);
	expect_in_order(&fake, 4);
	fake_io_send_always(fake.io, -ENOBUFS);
	serve(&fake, 1);
	cr_assert_eq(sock_of(&fake)->backlog.retry_us, 500);
	fake_io_send_always(fake.io, -EAGAIN);
	cr_assert_eq(retry(&fake), 0);
	fake_server_close(&fake);
}

Test(backlog, the_pause_does_not_outlive_its_line)
{
	struct fake_server fake = open_server(0);

	fake_io_send_always(fake.io, -ENOBUFS);
	serve(&fake, 1);
	retry(&fake);
	cr_assert_eq(retry(&fake), 2000);
	vly_backlog_drop(fake.worker, VOLLEY_TX_STOPPED);
	serve(&fake, 1);
	cr_assert_eq(sock_of(&fake)->backlog.retry_us, 500,
		     "a new line begins with the first pause");
	/* And when its last one fails by itself. */
	fake_io_send_always(fake.io, -EPERM);
	retry(&fake);
	fake_io_send_always(fake.io, -ENOBUFS);
	serve(&fake, 1);
	cr_assert_eq(sock_of(&fake)->backlog.retry_us, 500);
	fake_server_close(&fake);
}

Test(backlog, a_deadline_within_the_pause_is_kept)
{
	struct fake_server fake;
	uint64_t deadline;

	fake_server_open(&fake, VOLLEY_CONFIG(.backlog_us = 300), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = echo));
	fake_io_send_always(fake.io, -ENOBUFS);
	serve(&fake, 1);
	deadline = sock_of(&fake)->backlog.first->deadline_ns;
	cr_assert_lt(deadline, sock_of(&fake)->backlog.retry_ns);
	cr_assert_eq(vly_backlog_get_timeout(fake.worker, deadline - 100), 100);
	vly_backlog_flush(fake.worker, deadline);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_TIMEOUT], 1);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 1);
	fake_server_close(&fake);
}

/* Two sockets ---------------------------------------------------------------------------------- */

Test(backlog, a_full_socket_does_not_hold_up_another)
{
	struct fake_server fake = open_server(0);

	fake_server_listen(&fake, ADDRESS, VOLLEY_LISTEN(.on_batch = echo));
	fake_io_send_result(fake.io, -ENOBUFS);
	fake_io_recv_n(fake.io, 0, 2, 8);
	fake_io_recv_n(fake.io, 1, 2, 8);
	fake_server_run(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 2);
	cr_assert_eq(fake_io_sent(fake.io, 0)->listener, 1);
	/* The second one fills as well; the earlier of the two is waited for. */
	fake_io_send_result(fake.io, 1);
	fake_io_send_result(fake.io, -EAGAIN);
	fake_io_recv_n(fake.io, 1, 2, 8);
	fake_server_run(&fake);
	cr_assert_eq(
		vly_backlog_get_timeout(
			fake.worker, vly_socks_get(&fake.worker->socks, 0)->backlog.retry_ns - 9),
		9);
	/* Only the second one is tried before the first one's time. */
	vly_backlog_flush(fake.worker, vly_socks_get(&fake.worker->socks, 0)->backlog.retry_ns - 9);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(vly_socks_get(&fake.worker->socks, 1)->backlog.n, 0);
	cr_assert_eq(vly_socks_get(&fake.worker->socks, 0)->backlog.n, 2);
	vly_backlog_drop(fake.worker, VOLLEY_TX_STOPPED);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_STOPPED], 2);
	cr_assert_eq(vly_backlog_get_timeout(fake.worker, 0), -1);
	fake_server_close(&fake);
}
