/* SPDX-License-Identifier: MIT */

/*
 * The same to many, and rooms to write it into. What is counted, what is copied how often, and that
 * nobody's bytes change before they have left.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <volley/send.h>

#include "lib/fake_io.h"
#include "lib/loopback.h"
#include "path/backlog.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/route.h"
#include "path/send.h"
#include "server/state.h"
#include "sys/clock.h"

enum { ARENA_BYTES = 65536, N_MANY = 5000, LEN = 10000 };

static struct fake_server fake;
static struct volley_addr peers[N_MANY];
static uint8_t data[65536];

static void ignore(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

/* This thread is the worker. */
static void open_fake(void)
{
	fake_server_open(&fake, VOLLEY_CONFIG(.arena_bytes = ARENA_BYTES), "127.0.0.1:0",
			 VOLLEY_LISTEN(.on_batch = ignore));
	vly_self_enter(&fake.worker->self);
	for (uint32_t i = 0; i < N_MANY; i++)
		peers[i] = *fake_peer((uint16_t)(i + 1));
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7);
}

static void close_fake(void)
{
	vly_self_leave(&fake.worker->self);
	fake_server_close(&fake);
}

TestSuite(send_many, .init = open_fake, .fini = close_fake, .timeout = 60);

static int send_many(const void *bytes, size_t len, uint32_t n,
		     const struct volley_send_options *options)
{
	return volley_worker_send_many(fake.worker, fake.listener, peers, n,
				       &(struct volley_payload){ bytes, len }, options);
}

/* Of what was sent from number `first` on, each is `len` bytes of `data`. */
static void expect_sent(uint32_t first, uint32_t n, uint32_t len)
{
	cr_assert_eq(fake_io_n_sent(fake.io), first + n, "%u", fake_io_n_sent(fake.io));
	for (uint32_t i = first; i < first + n; i++) {
		const struct fake_sent *sent = fake_io_sent(fake.io, i);

		cr_assert_eq(sent->len, len);
		cr_assert_arr_eq(sent->data, data, len, "number %u", i);
	}
}

Test(send_many, each_of_them_is_a_request)
{
	struct volley_stats stats;

	peers[1] = *fake_peer(0);
	peers[2] = loopback_addr("[::1]:5");
	peers[3] = *fake.addr;
	peers[4] = (struct volley_addr){ .len = 0 };
	cr_assert_eq(send_many(data, 100, 7, NULL), 3);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 0, "they leave with the volley");
	vly_pipeline_flush(fake.worker);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_requested, 7);
	cr_assert_eq(stats.tx_sent, 3);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_REFUSED], 4);
	expect_sent(0, 3, 100);
	for (uint32_t i = 0; i < 3; i++)
		cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, i)->peer),
			     i == 0 ? 1 : i + 5);
}

Test(send_many, it_is_copied_once)
{
	cr_assert_eq(send_many(data, 40000, 100, NULL), 100);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 0, "there was room for one copy, and no more");
	memset(data, 0, 40000);
	vly_pipeline_flush(fake.worker);
	for (uint32_t i = 0; i < 40000; i++)
		data[i] = (uint8_t)(i * 7);
	expect_sent(0, 100, 40000);
	cr_assert_eq(fake.worker->arena.used, 0);
}

/* The addresses of so many need more than the arena has, and the outbox is too short as well. */
Test(send_many, more_than_fit_leave_in_parts)
{
	cr_assert_eq(send_many(data, LEN, N_MANY, NULL), N_MANY);
	vly_pipeline_flush(fake.worker);
	expect_sent(0, N_MANY, LEN);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_NO_BUFFER], 0);
}

/* Each call's copy is free when its datagrams have left, although the callback goes on. */
Test(send_many, again_and_again_in_one_callback)
{
	uint8_t next[3] = { 0 };

	for (uint32_t i = 0; i < 300; i++) {
		data[0] = (uint8_t)i;
		cr_assert_eq(send_many(data, LEN, 3, NULL), 3);
	}
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 900);
	for (uint32_t i = 0; i < 900; i++) {
		const struct fake_sent *sent = fake_io_sent(fake.io, i);
		uint16_t peer = volley_addr_get_port(&sent->peer) - 1;

		cr_assert_eq(sent->data[0], next[peer], "each peer gets them in order");
		next[peer]++;
	}
}

/* Even where almost nothing is left beside it. */
Test(send_many, the_largest_in_the_smallest_arena)
{
	cr_assert_eq(send_many(data, 65527, 20, NULL), 20);
	vly_pipeline_flush(fake.worker);
	expect_sent(0, 20, 65527);
}

/* The payload would just fit, and its first address would not; and it may not be moved. */
Test(send_many, a_payload_wants_room_for_an_address_too)
{
	const struct vly_arena *arena = &fake.worker->arena;
	size_t len;

	cr_assert_not_null(volley_worker_send_buffer(fake.worker, 16, NULL));
	len = arena->end - arena->used - LEN - sizeof(struct vly_route);
	cr_assert_eq(volley_worker_send(fake.worker, fake.listener, &peers[9], data, len, NULL), 0);
	cr_assert_leq(arena->end - arena->used, LEN + 15);
	cr_assert_eq(send_many(data, LEN, 5, NULL), 5);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 6);
}

Test(send_many, what_stands_in_line_is_a_copy_for_each)
{
	fake_io_send_result(fake.io, -EAGAIN);
	cr_assert_eq(send_many(data, 200, 50, NULL), 50);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(volley_worker_get_tx_queued(fake.worker, fake.listener), 50);
	cr_assert_eq(send_many(data, 200, 1, VOLLEY_SEND(.flags = VOLLEY_SEND_IF_ROOM)), -EAGAIN);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_publish(fake.worker);
	expect_sent(0, 50, 200);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 50);
}

Test(send_many, options_are_for_all_of_them)
{
	struct volley_addr local = loopback_addr("127.0.0.9:0");

	cr_assert_eq(send_many(data, 10, 5, VOLLEY_SEND(.local = &local)), 5);
	vly_pipeline_flush(fake.worker);
	for (uint32_t i = 0; i < 5; i++)
		cr_assert_eq(fake_io_sent(fake.io, i)->local.in.sin_addr.s_addr,
			     local.in.sin_addr.s_addr);
	/* A TTL of 0 is nothing for IPv4: refused for each. One out of range is nobody's. */
	cr_assert_eq(send_many(data, 10, 5, VOLLEY_SEND(.flags = VOLLEY_SEND_TTL)), 0);
	cr_assert_eq(send_many(data, 10, 5, VOLLEY_SEND(.ttl = 256)), -EINVAL);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_REFUSED], 5);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 10);
}

Test(send_many, what_is_refused_as_a_whole)
{
	const struct volley_payload payload = { data, 10 };

	cr_assert_eq(send_many(NULL, 1, 1, NULL), -EINVAL);
	cr_assert_eq(send_many(NULL, 0, 2, NULL), 2);
	cr_assert_eq(send_many(data, 10, 0, NULL), 0);
	cr_assert_eq(volley_worker_send_many(NULL, fake.listener, peers, 1, &payload, NULL),
		     -EINVAL);
	cr_assert_eq(volley_worker_send_many(fake.worker, fake.listener, NULL, 1, &payload, NULL),
		     -EINVAL);
	cr_assert_eq(volley_worker_send_many(fake.worker, fake.listener, NULL, 0, &payload, NULL),
		     0);
	cr_assert_eq(volley_worker_send_many(fake.worker, fake.listener, peers, 1, NULL, NULL),
		     -EINVAL);
	cr_assert_eq(volley_worker_send_many(fake.worker, fake.listener, peers, INT_MAX + 1u,
					     &payload, NULL),
		     -EINVAL);
	cr_assert_eq(volley_worker_send_many(fake.worker, (struct volley_listener){ 1 }, peers, 1,
					     &payload, NULL),
		     -ESTALE);
	cr_assert_eq(volley_worker_get_tx_queued(NULL, fake.listener), -EINVAL);
	cr_assert_eq(volley_worker_get_tx_queued(fake.worker, (struct volley_listener){ 1 }),
		     -ESTALE);
	cr_assert_eq(send_many(data, 65528, 3, NULL), 0);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 5);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_EMSGSIZE], 3);
}

Test(send_many, another_thread_may_not)
{
	vly_self_leave(&fake.worker->self);
	cr_assert_eq(send_many(data, 10, 3, NULL), -EPERM);
	cr_assert_eq(volley_worker_get_tx_queued(fake.worker, fake.listener), -EPERM);
	cr_assert_null(volley_worker_send_buffer(fake.worker, 10, NULL));
	vly_self_enter(&fake.worker->self);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 0);
}

/* Rooms ---------------------------------------------------------------------------------------- */

static uint32_t n_rooms;

static void take_most(struct volley_worker *worker, void *arg)
{
	(void)arg;
	cr_assert_not_null(volley_worker_send_buffer(worker, 40000, NULL));
	cr_assert_null(volley_worker_send_buffer(worker, 40000, NULL), "it is all taken");
	n_rooms++;
}

static void take_in_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	(void)packets, (void)n;
	take_most(worker, arg);
}

/* The hooks around a volley and its callback: each gives back what it took. */
Test(send_many, the_rooms_of_hooks_are_given_back)
{
	struct fake_server other;

	fake_server_open(&other,
			 VOLLEY_CONFIG(.arena_bytes = ARENA_BYTES, .on_batch_begin = take_most,
				       .on_batch_end = take_most),
			 "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = take_in_batch));
	vly_self_enter(&other.worker->self);
	for (int i = 0; i < 3; i++) {
		fake_io_recv_n(other.io, 0, 1, 8);
		fake_io_recv_end(other.io, 0);
	}
	while (n_rooms < 9)
		cr_assert_gt(fake_server_run(&other), 0);
	vly_self_leave(&other.worker->self);
	fake_server_close(&other);
}

static uint8_t *get_room(size_t need, size_t len)
{
	size_t capacity = 0;
	uint8_t *room = volley_worker_send_buffer(fake.worker, need, &capacity);

	cr_assert_not_null(room);
	cr_assert(capacity >= need && capacity < need + 16);
	cr_assert_eq((uintptr_t)room % 16, 0);
	memcpy(room, data, len);
	return room;
}

Test(send_many, a_room_is_sent_without_a_copy)
{
	uint8_t *room = get_room(20000, 20000);
	uint32_t used;

	cr_assert_eq(send_many(room, 20000, 2, NULL), 2);
	used = fake.worker->arena.used;
	cr_assert_lt(used, 20000 + 1000);
	/* And by itself, of which the rest is given back. */
	room = get_room(20000, 20000);
	cr_assert_eq(volley_worker_send(fake.worker, fake.listener, &peers[2], room, 20000, NULL),
		     0);
	room = get_room(20000, 100);
	cr_assert_eq(volley_worker_send(fake.worker, fake.listener, &peers[3], room, 100, NULL), 0);
	cr_assert_lt(fake.worker->arena.used, used + 20000 + 1000);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 0);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 4);
	cr_assert_arr_eq(fake_io_sent(fake.io, 2)->data, data, 20000);
	cr_assert_arr_eq(fake_io_sent(fake.io, 3)->data, data, 100);
}

Test(send_many, a_room_has_a_size)
{
	cr_assert_null(volley_worker_send_buffer(NULL, 1, NULL));
	cr_assert_null(volley_worker_send_buffer(fake.worker, 0, NULL));
	cr_assert_null(volley_worker_send_buffer(fake.worker, 65528, NULL));
	cr_assert_not_null(volley_worker_send_buffer(fake.worker, 65527, NULL));
	cr_assert_null(volley_worker_send_buffer(fake.worker, 65527, NULL), "it is the other's");
}

/* Whatever is sent in between, a room is the callback's until that returns. */
Test(send_many, a_room_stays_as_it_was_written)
{
	uint8_t *room = get_room(30000, 30000);

	for (uint32_t i = 0; i < 100; i++)
		cr_assert_eq(send_many(data + 1, LEN, 20, NULL), 20);
	cr_assert_arr_eq(room, data, 30000);
	cr_assert_eq(fake_io_n_sent(fake.io) + vly_outbox_count(fake.worker), 2000);
	cr_assert_eq(volley_worker_send(fake.worker, fake.listener, &peers[0], room, 30000, NULL),
		     0);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 2001);
	cr_assert_arr_eq(fake_io_sent(fake.io, 2000)->data, data, 30000);
}

/* As in a callback that was given all of it. */
Test(send_many, without_room_each_is_dropped_by_name)
{
	cr_assert_not_null(volley_worker_send_buffer(fake.worker, 65000, NULL));
	cr_assert_eq(send_many(data, LEN, 9, NULL), 0);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_NO_BUFFER], 9);
}

Test(send_many, a_room_that_nothing_was_sent_out_of_is_given_back)
{
	for (int i = 0; i < 3; i++) {
		cr_assert_not_null(volley_worker_send_buffer(fake.worker, 60000, NULL));
		vly_pipeline_leave(fake.worker);
	}
}
