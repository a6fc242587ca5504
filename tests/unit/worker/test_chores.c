/* SPDX-License-Identifier: MIT */

/*
 * What a worker does between two passes, on the test's own thread: its mail in order, and what has
 * its time.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

#include <volley/send.h>

#include "base/mem.h"
#include "lib/fake_io.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/mail.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/send.h"
#include "worker/chores.h"

#define ADDRESS "127.0.0.1:0"

enum { BACKLOG_US = 10 * 1000 * 1000 };

static struct fake_server fake;
static uint32_t n_sent_before[2];

static void open_server(void)
{
	fake_server_open(&fake, VOLLEY_CONFIG(.backlog_us = BACKLOG_US), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = peer_echo));
}

static void close_server(void)
{
	fake_server_close(&fake);
}

TestSuite(chores, .init = open_server, .fini = close_server, .timeout = 60);

/* Notes what had left by then, and sends one. */
static void look(struct volley_worker *worker, void *arg)
{
	*(uint32_t *)arg = fake_io_n_sent(fake.io);
	cr_assert_eq(vly_send_add(worker, fake.listener, fake_peer(5), "x", 1, NULL), 0);
}

static void push_post(uint32_t *n_sent)
{
	struct vly_post *post = vly_mem_new(NULL, 1, sizeof *post);

	post->fn = look;
	post->arg = n_sent;
	vly_mail_push(&fake.worker->mail, &post->node, VLY_MAIL_POST);
}

Test(chores, what_came_before_a_function_leaves_before_it)
{
	push_post(&n_sent_before[0]);
	push_post(&n_sent_before[1]);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(n_sent_before[0], 0);
	cr_assert_eq(n_sent_before[1], 1);
	cr_assert_eq(fake_io_n_sent(fake.io), 2, "the last one leaves too");
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 2, "there is no mail any more");
}

Test(chores, nothing_that_waits_has_no_deadline)
{
	cr_assert_not(vly_chores_has_timers(fake.worker));
	cr_assert_eq(vly_chores_get_timeout(fake.worker), -1);
	vly_chores_run_timers(fake.worker);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 0);
}

/* A device that is full says ENOBUFS, and has no event. */
Test(chores, what_waits_for_a_device_is_tried_again)
{
	int64_t timeout_ns;

	fake_io_send_result(fake.io, -ENOBUFS);
	push_post(&n_sent_before[0]);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 0);
	cr_assert(vly_chores_has_timers(fake.worker));
	while (vly_chores_has_timers(fake.worker)) {
		timeout_ns = vly_chores_get_timeout(fake.worker);
		cr_assert_lt(timeout_ns, INT64_C(60) * 1000 * 1000,
			     "the retry's, not the backlog's");
		vly_chores_run_timers(fake.worker);
	}
	cr_assert_eq(fake_io_n_sent(fake.io), 1);
	cr_assert_eq(vly_chores_get_timeout(fake.worker), -1);
}

static void send_news(struct volley_worker *worker, const struct volley_addr *peer, int error,
		      void *arg)
{
	(void)error, (void)arg;
	cr_assert_eq(vly_send_add(worker, listener_at(fake.server, 1), peer, "news", 4, NULL), 0);
}

/* It comes after the pass, and nobody would wake for it: so there is no wait before the next. */
Test(chores, what_an_error_sends_meanwhile_leaves_too)
{
	uint32_t index = fake_server_listen(&fake, ADDRESS,
					    VOLLEY_LISTEN(.on_batch = peer_echo,
							  .on_error = send_news,
							  .flags = VOLLEY_LISTEN_REPORT_ERRORS));
	struct vly_sock *sock = vly_socks_get_first(&fake.worker->socks, index);
	struct volley_addr nobody;

	close(loopback_open(ADDRESS, &nobody));
	for (int i = 0; i < 2; i++) /* who has asked for reports tries twice */
		fake_io_send_result(fake.io, -ENOBUFS);
	cr_assert_eq(vly_send_add(fake.worker, listener_at(fake.server, index), fake_peer(5), "x",
				  1, NULL),
		     0);
	vly_pipeline_flush(fake.worker);
	loopback_send(sock->fd, &nobody, 7, 1);
	fake_io_send_result(fake.io, -ECONNREFUSED); /* the report's, on the way of another */
	while (vly_chores_has_timers(fake.worker))
		vly_chores_run_timers(fake.worker);
	cr_assert_not(vly_chores_sleep(fake.worker));
	vly_mail_awake(&fake.worker->mail);
	vly_pipeline_run_once(fake.worker, 1);
	cr_assert(vly_chores_sleep(fake.worker));
	vly_mail_awake(&fake.worker->mail);
	cr_assert_eq(fake_io_n_sent(fake.io), 2);
	cr_assert_eq(vly_outbox_count(fake.worker), 0);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 0);
}

/* A full socket has an event, so only the end of its time is the clock's. */
Test(chores, what_waits_for_a_socket_has_its_own_deadline)
{
	fake_io_send_always(fake.io, -EAGAIN);
	push_post(&n_sent_before[0]);
	vly_chores_take_mail(fake.worker);
	cr_assert(vly_chores_has_timers(fake.worker));
	cr_assert_gt(vly_chores_get_timeout(fake.worker), (int64_t)BACKLOG_US * 500);
	vly_chores_run_timers(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 1);
}
