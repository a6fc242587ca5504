/* SPDX-License-Identifier: MIT */

/*
 * Who is told that a line stands there, and that on_writable says once when it does no more. The
 * wait strategies are unit/worker/test_writable.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <volley/send.h>

#include "lib/fake_io.h"
#include "path/backlog.h"
#include "path/held.h"
#include "path/pipeline.h"
#include "path/remote.h"
#include "path/route.h"
#include "path/send.h"
#include "server/state.h"
#include "sys/clock.h"
#include "worker/chores.h"

#define ADDRESS "127.0.0.1:0"
#define IF_ROOM VOLLEY_SEND(.flags = VOLLEY_SEND_IF_ROOM)

static struct fake_server fake;
static uint32_t n_called;
static struct volley_listener called; /* for which one, the last time */

static void on_writable(struct volley_worker *worker, struct volley_listener listener, void *arg)
{
	cr_assert_eq(worker, fake.worker);
	cr_assert_eq(arg, &fake);
	cr_assert_eq(vly_backlog_request_room(worker, listener), 0);
	cr_assert_not_null(volley_worker_send_buffer(worker, 60000, NULL),
			   "the last one's is over");
	called = listener;
	n_called++;
}

static int result;

static void reply_if_room(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	(void)worker, (void)n, (void)arg;
	result = volley_packet_reply_with(&packets[0], "r", 1, IF_ROOM);
}

static const struct volley_listen_config listen_config = { .size = sizeof listen_config,
							   .on_batch = reply_if_room,
							   .on_writable = on_writable,
							   .arg = &fake };

static void open_fake(void)
{
	fake_server_open(&fake, VOLLEY_CONFIG(.arena_bytes = 65536), ADDRESS, &listen_config);
	vly_self_enter(&fake.worker->self);
}

static void close_fake(void)
{
	vly_self_leave(&fake.worker->self);
	fake_server_close(&fake);
}

TestSuite(writable, .init = open_fake, .fini = close_fake);

/* A line of one. */
static void begin_line(void)
{
	fake_io_send_result(fake.io, -EAGAIN);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), "1", 1, NULL), 0);
	vly_pipeline_flush(fake.worker);
	cr_assert_gt(fake_server_stats(&fake).tx_queued, 0);
}

/* What happens by the clock, on which the socket takes all of it. */
static void end_line(void)
{
	vly_chores_run_timers(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 0);
}

static void expect(uint32_t n)
{
	begin_line();
	end_line();
	cr_assert_eq(n_called, n, "called %u times, and not %u", n_called, n);
}

Test(writable, nobody_was_told)
{
	expect(0);
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 0);
	expect(0);
}

Test(writable, how_many_wait)
{
	begin_line();
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(6), "2", 1, NULL), 0);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 2);
	cr_assert_eq(vly_backlog_request_room(fake.worker, (struct volley_listener){ 1 }), -ESTALE);
	end_line();
	cr_assert_eq(n_called, 1);
	cr_assert_eq(called.id, fake.listener.id);
	expect(1);
}

Test(writable, a_send_is_told)
{
	const struct volley_addr *peer = fake_peer(6);

	begin_line();
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, peer, "2", 1, IF_ROOM), -EAGAIN);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, peer, "2", 1, IF_ROOM), -EAGAIN);
	end_line();
	cr_assert_eq(n_called, 1);
	expect(1);
}

Test(writable, one_to_many_is_told)
{
	const struct volley_payload payload = { "2", 1 };

	begin_line();
	cr_assert_eq(
		vly_send_add_many(fake.worker, fake.listener, fake_peer(6), 1, &payload, IF_ROOM),
		-EAGAIN);
	end_line();
	cr_assert_eq(n_called, 1);
}

Test(writable, a_reply_is_told)
{
	begin_line();
	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "a", .len = 1 });
	fake_server_run(&fake);
	cr_assert_eq(result, -EAGAIN);
	end_line();
	cr_assert_eq(n_called, 1);
}

Test(writable, another_thread_is_told)
{
	struct vly_route route;

	vly_remote_open(fake.worker);
	begin_line();
	cr_assert_eq(vly_route_find_all(fake.worker, fake.listener, fake_peer(6), IF_ROOM, &route),
		     0);
	cr_assert_eq(vly_remote_send(fake.worker, &route, "2", 1), -EAGAIN);
	end_line();
	cr_assert_eq(n_called, 1);
	begin_line();
	cr_assert(vly_remote_request_room(fake.worker, &route), "as a handler does");
	end_line();
	cr_assert_eq(n_called, 2);
}

/* It is over for them, too. */
Test(writable, a_line_that_ends_by_the_clock)
{
	fake_io_send_always(fake.io, -EAGAIN);
	begin_line();
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 1);
	vly_chores_run_timers(fake.worker);
	cr_assert_eq(n_called, 0, "it waits still");
	vly_backlog_flush(fake.worker, UINT64_MAX);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_TIMEOUT], 1);
	vly_backlog_process(fake.worker);
	cr_assert_eq(n_called, 1);
	vly_backlog_process(fake.worker);
	cr_assert_eq(n_called, 1);
}

/* Dropped with its socket, or at a stop: there is nothing to write to. */
Test(writable, a_line_that_is_dropped)
{
	begin_line();
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 1);
	vly_backlog_drop_sock(fake.worker, vly_socks_get(&fake.worker->socks, 0),
			      VOLLEY_TX_STOPPED);
	vly_backlog_process(fake.worker);
	begin_line();
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 1);
	vly_backlog_flush(fake.worker, vly_clock_get_ns()); /* the last one, at the worker's end */
	vly_backlog_drop(fake.worker, VOLLEY_TX_STOPPED);
	vly_backlog_process(fake.worker);
	cr_assert_eq(n_called, 0);
	expect(0);
}

Test(writable, not_once_a_stop_was_asked_for)
{
	begin_line();
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 1);
	atomic_store(&fake.server->shared.command, VLY_COMMAND_STOP);
	end_line();
	cr_assert_eq(n_called, 0);
	atomic_store(&fake.server->shared.command, VLY_COMMAND_RUN);
}

/* Each socket has its line, and each of them is told of by itself. */
Test(writable, two_listeners)
{
	struct volley_listener listener;

	vly_self_leave(&fake.worker->self); /* no worker may wait for itself */
	fake_server_listen(&fake, ADDRESS, &listen_config);
	vly_self_enter(&fake.worker->self);
	listener.id = vly_socks_get(&fake.worker->socks, 1)->listener->id;
	begin_line();
	fake_io_send_result(fake.io, -ENOBUFS);
	cr_assert_eq(vly_send_add(fake.worker, listener, fake_peer(5), "1", 1, NULL), 0);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 1);
	vly_backlog_flush(fake.worker, vly_clock_get_ns() + 1000000);
	vly_backlog_process(fake.worker);
	cr_assert_eq(n_called, 1);
	cr_assert_eq(called.id, fake.listener.id);
	cr_assert_eq(vly_backlog_request_room(fake.worker, listener), 0);
	vly_pipeline_publish(fake.worker);
	/* Both at once. */
	fake_io_send_always(fake.io, -EAGAIN);
	cr_assert_eq(vly_send_add(fake.worker, listener, fake_peer(5), "1", 1, NULL), 0);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), "1", 1, NULL), 0);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(vly_backlog_request_room(fake.worker, fake.listener), 1);
	cr_assert_eq(vly_backlog_request_room(fake.worker, listener), 1);
	fake_io_send_always(fake.io, INT_MAX);
	end_line();
	cr_assert_eq(n_called, 3);
}
