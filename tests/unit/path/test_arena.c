/* SPDX-License-Identifier: MIT */

/*
 * Copied replies and rooms for replies: where the bytes stay until the flush, which may come in the
 * middle of a callback when the arena or the list of replies is full.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "lib/fake_io.h"
#include "lib/fault.h"
#include "path/send.h"
#include "server/state.h"

#define ADDRESS "127.0.0.1:0"

enum { ARENA_BYTES = 65536 };

static struct fake_server open_small(volley_batch_fn fn)
{
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.arena_bytes = ARENA_BYTES), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = fn));
	return fake;
}

/* One datagram in, whatever the callback replies out. */
static void serve_one(struct fake_server *fake)
{
	fake_io_recv(fake->io, &(struct fake_datagram){ .data = "hello", .len = 5 });
	cr_assert_eq(fake_server_run(fake), 1);
	cr_assert_eq(fake->worker->arena.used, 0, "a volley leaves an empty arena");
}

/* All bytes of a datagram are the same letter. */
static void expect_letters(const struct fake_server *fake, uint32_t i, char letter, uint32_t n)
{
	const struct fake_sent *sent = fake_io_sent(fake->io, i);

	cr_assert_eq(sent->len, n, "datagram %u has %u bytes, not %u", i, sent->len, n);
	for (uint32_t k = 0; k < n; k++)
		cr_assert_eq(sent->data[k], letter, "byte %u of datagram %u is %c, not %c", k, i,
			     sent->data[k], letter);
}

static void reply_letters(struct volley_packet *packet, char letter, size_t n, int expected)
{
	static char text[65536];

	memset(text, letter, n);
	cr_assert_eq(volley_packet_reply(packet, text, n), expected);
}

static uint8_t *get_room(struct volley_packet *packet, char letter, size_t n)
{
	size_t capacity = 0;
	uint8_t *room = volley_packet_reply_buffer(packet, n, &capacity);

	cr_assert_not_null(room);
	cr_assert_geq(capacity, n);
	cr_assert_eq((uintptr_t)room % 16, 0);
	memset(room, letter, n);
	return room;
}

/* Twenty copies of 10,000 bytes are three arenas' worth. */
static void reply_three_arenas(struct volley_worker *worker, struct volley_packet *packets,
			       size_t n, void *arg)
{
	(void)worker, (void)n, (void)arg;
	for (int i = 0; i < 20; i++)
		reply_letters(&packets[0], (char)('a' + i), 10000, 0);
}

Test(arena, a_full_arena_is_flushed_in_the_middle)
{
	struct fake_server fake = open_small(reply_three_arenas);

	serve_one(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 20);
	cr_assert_geq(fake_io_n_send_calls(fake.io), 4);
	for (uint32_t i = 0; i < 20; i++)
		expect_letters(&fake, i, (char)('a' + i), 10000);
	fake_server_close(&fake);
}

static void reply_3000(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		       void *arg)
{
	(void)worker, (void)n, (void)arg;
	for (int i = 0; i < 3000; i++)
		reply_letters(&packets[0], (char)('a' + i % 26), 1 + (size_t)(i % 7), 0);
}

Test(arena, more_replies_than_one_send_takes)
{
	struct fake_server fake = open_small(reply_3000);

	serve_one(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 3000);
	cr_assert_leq(fake_io_max_send(fake.io), 1024);
	for (uint32_t i = 0; i < 3000; i++)
		expect_letters(&fake, i, (char)('a' + i % 26), 1 + i % 7);
	fake_server_close(&fake);
}

/*
 * The 1,025th reply flushes the others; its own bytes must survive the copies that follow, large
 * ones too.
 */
static void reply_1025_and_a_large_one(struct volley_worker *worker, struct volley_packet *packets,
				       size_t n, void *arg)
{
	(void)worker, (void)n, (void)arg;
	for (int i = 0; i < 1024; i++)
		reply_letters(&packets[0], 'a', 1, 0);
	reply_letters(&packets[0], 'b', 100, 0);
	reply_letters(&packets[0], 'c', 30000, 0);
}

Test(arena, the_reply_that_flushes_keeps_its_bytes)
{
	struct fake_server fake = open_small(reply_1025_and_a_large_one);

	serve_one(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 1026);
	expect_letters(&fake, 1024, 'b', 100);
	expect_letters(&fake, 1025, 'c', 30000);
	fake_server_close(&fake);
}

static void reply_from_room(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	uint8_t *room = get_room(&packets[0], 'r', 1000);

	(void)n, (void)arg;
	cr_assert_geq(worker->arena.used, 1000);
	cr_assert_eq(volley_packet_reply(&packets[0], room, 10), 0);
	cr_assert_eq(worker->arena.used, 16, "what the reply does not use is given back");
	room[0] = 'R'; /* not copied: what is sent is what is here at the flush */
}

Test(arena, a_room_is_sent_without_a_copy_and_trimmed)
{
	struct fake_server fake = open_small(reply_from_room);

	serve_one(&fake);
	cr_assert_eq(fake_io_sent(fake.io, 0)->len, 10);
	cr_assert_eq(fake_io_sent(fake.io, 0)->data[0], 'R');
	cr_assert_eq(fake_io_sent(fake.io, 0)->data[9], 'r');
	fake_server_close(&fake);
}

/* Both replies lie in the room; the second is shorter than the first. */
static void reply_twice_from_room(struct volley_worker *worker, struct volley_packet *packets,
				  size_t n, void *arg)
{
	uint8_t *room = get_room(&packets[0], 'r', 1000);

	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_reply(&packets[0], room, 500), 0);
	cr_assert_eq(volley_packet_reply(&packets[0], room, 10), 0);
	reply_letters(&packets[0], 'x', 2000, 0);
}

Test(arena, a_second_reply_from_a_room_leaves_the_first_alone)
{
	struct fake_server fake = open_small(reply_twice_from_room);

	serve_one(&fake);
	expect_letters(&fake, 0, 'r', 500);
	expect_letters(&fake, 1, 'r', 10);
	expect_letters(&fake, 2, 'x', 2000);
	fake_server_close(&fake);
}

/* The second reply reaches beyond what the first one left of the room. */
static void reply_longer_from_room(struct volley_worker *worker, struct volley_packet *packets,
				   size_t n, void *arg)
{
	uint8_t *room = get_room(&packets[0], 'r', 1000);

	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_reply(&packets[0], room, 10), 0);
	cr_assert_eq(volley_packet_reply(&packets[0], room, 1000), 0);
}

Test(arena, a_longer_second_reply_from_a_room_is_whole)
{
	struct fake_server fake = open_small(reply_longer_from_room);

	serve_one(&fake);
	expect_letters(&fake, 0, 'r', 10);
	expect_letters(&fake, 1, 'r', 1000);
	fake_server_close(&fake);
}

/* One prepared reply for everybody, which a flush in the middle must not touch. */
static void reply_shared_room(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			      void *arg)
{
	uint8_t *room = get_room(&packets[0], 'r', 100);

	(void)worker, (void)n, (void)arg;
	for (int i = 0; i < 2000; i++) {
		cr_assert_eq(volley_packet_reply(&packets[0], room, 100), 0);
		reply_letters(&packets[0], 'x', 20, 0);
	}
}

Test(arena, a_room_stays_valid_until_the_callback_returns)
{
	struct fake_server fake = open_small(reply_shared_room);

	serve_one(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 4000);
	for (uint32_t i = 0; i < 4000; i += 2) {
		expect_letters(&fake, i, 'r', 100);
		expect_letters(&fake, i + 1, 'x', 20);
	}
	fake_server_close(&fake);
}

/* An open room outlives a flush in the middle, though another one was replied to with twice. */
static void reply_beside_an_open_room(struct volley_worker *worker, struct volley_packet *packets,
				      size_t n, void *arg)
{
	uint8_t *a = get_room(&packets[0], 'a', 100);
	uint8_t *b = get_room(&packets[0], 'b', 100);

	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_reply(&packets[0], a, 100), 0);
	cr_assert_eq(volley_packet_reply(&packets[0], a, 100), 0);
	for (int i = 0; i < 1100; i++)
		reply_letters(&packets[0], 'x', 40, 0);
	cr_assert_eq(volley_packet_reply(&packets[0], b, 100), 0);
}

Test(arena, an_open_room_outlives_a_flush)
{
	struct fake_server fake = open_small(reply_beside_an_open_room);

	serve_one(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 1103);
	expect_letters(&fake, 1102, 'b', 100);
	fake_server_close(&fake);
}

static void use_room_up(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	size_t capacity = 77;

	(void)worker, (void)n, (void)arg;
	cr_assert_null(volley_packet_reply_buffer(&packets[0], 0, &capacity));
	cr_assert_null(volley_packet_reply_buffer(&packets[0], 65528, &capacity));
	cr_assert_eq(capacity, 77);
	get_room(&packets[0], 'r', 65527);
	get_room(&packets[0], 's', VLY_SEND_ROOM_BYTES);
	cr_assert_null(volley_packet_reply_buffer(&packets[0], 1, &capacity));
	cr_assert_eq(capacity, 77);
	reply_letters(&packets[0], 'x', 10, -ENOBUFS);
	/* In place needs no room. */
	cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, 5), 0);
}

Test(arena, exhaustion_is_named_and_ends_with_the_volley)
{
	struct fake_server fake = open_small(use_room_up);

	for (uint64_t round = 1; round <= 2; round++) {
		serve_one(&fake);
		cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_NO_BUFFER], round);
		cr_assert_eq(fake_server_stats(&fake).tx_sent, round);
	}
	fake_server_close(&fake);
}

static void reply_largest_room(struct volley_worker *worker, struct volley_packet *packets,
			       size_t n, void *arg)
{
	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_reply(&packets[0], get_room(&packets[0], 'r', 65527), 65527), 0);
}

Test(arena, a_room_may_have_65527_bytes)
{
	struct fake_server fake = open_small(reply_largest_room);

	serve_one(&fake);
	expect_letters(&fake, 0, 'r', 65527);
	fake_server_close(&fake);
}

/* More than half of the arena, so a second one has room only when the first has been sent. */
static void reply_large_room(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	cr_assert_eq(volley_packet_reply(packet, get_room(packet, 'r', 40000), 40000), 0);
}

static void reply_large_room_to_first(struct volley_worker *worker, struct volley_packet *packets,
				      size_t n, void *arg)
{
	(void)n;
	reply_large_room(worker, &packets[0], arg);
}

Test(arena, a_callback_that_returned_keeps_no_room_from_the_next)
{
	struct fake_server fake = open_small(reply_large_room_to_first);

	/* More views than one callback is shown. */
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 300, .segment_bytes = 1 });
	cr_assert_eq(fake_server_run(&fake), 1);
	cr_assert_eq(fake_io_n_sent(fake.io), 2);
	fake_server_close(&fake);
}

Test(arena, nor_does_one_that_is_called_for_each_packet)
{
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.arena_bytes = ARENA_BYTES), ADDRESS,
			 VOLLEY_LISTEN(.on_packet = reply_large_room));
	fake_io_recv_n(fake.io, 0, 3, 8);
	cr_assert_eq(fake_server_run(&fake), 3);
	cr_assert_eq(fake_io_n_sent(fake.io), 3);
	fake_server_close(&fake);
}

/* By itself ------------------------------------------------------------------------------------ */

static struct vly_arena open_arena(uint32_t n_bytes)
{
	struct vly_arena arena;

	cr_assert_eq(vly_arena_init(&arena, NULL, n_bytes), 0);
	return arena;
}

Test(arena, rooms_lie_behind_one_another_to_the_last_byte)
{
	struct vly_arena arena = open_arena(64);
	uint8_t *a = vly_arena_get(&arena, 1);

	cr_assert_eq(a, arena.base);
	cr_assert_eq((uint8_t *)vly_arena_get(&arena, 17), a + 16);
	cr_assert_null(vly_arena_get(&arena, 17), "16 are left");
	cr_assert_eq((uint8_t *)vly_arena_get(&arena, 16), a + 48);
	cr_assert_null(vly_arena_get(&arena, 1));
	vly_arena_reset(&arena);
	cr_assert_eq((uint8_t *)vly_arena_get(&arena, 64), a);
	vly_arena_fini(&arena);
	vly_arena_fini(&arena); /* a zeroed one */
}

Test(arena, only_what_lies_in_it_is_taken)
{
	struct vly_arena arena = open_arena(64);
	uint8_t *room = vly_arena_get(&arena, 32);

	cr_assert(vly_arena_take(&arena, room + 4, 28));
	cr_assert_not(vly_arena_take(&arena, room, 33), "it ends behind the room");
	cr_assert_not(vly_arena_take(&arena, room + 32, 1), "that is free");
	cr_assert_not(vly_arena_take(&arena, room - 1, 1));
	cr_assert_not(vly_arena_take(&arena, (const uint8_t *)"x", 1));
	vly_arena_fini(&arena);
}

Test(arena, an_open_room_keeps_it_from_starting_over)
{
	struct vly_arena arena = open_arena(64);
	uint32_t n_bytes = 7;
	uint8_t *room = vly_arena_open(&arena, 20, &n_bytes);

	cr_assert_eq(n_bytes, 32);
	cr_assert_null(vly_arena_open(&arena, 33, &n_bytes));
	cr_assert_eq(n_bytes, 32, "untouched on failure");
	vly_arena_reset(&arena);
	cr_assert_eq((uint8_t *)vly_arena_get(&arena, 1), room + 32);
	vly_arena_end_callback(&arena);
	vly_arena_reset(&arena);
	cr_assert_eq((uint8_t *)vly_arena_open(&arena, 20, &n_bytes), room);
	cr_assert(vly_arena_take(&arena, room, 20));
	vly_arena_reset(&arena);
	cr_assert_eq((uint8_t *)vly_arena_get(&arena, 1), room + 32, "replied from or not");
	vly_arena_clear(&arena);
	cr_assert_eq(arena.used, 0);
	vly_arena_fini(&arena);
}

/* Two rooms at the end, with what an earlier callback sent in front of them. */
Test(arena, it_starts_over_on_the_larger_side_of_the_rooms)
{
	struct vly_arena arena = open_arena(256);
	uint32_t n_bytes;
	uint8_t *first = vly_arena_get(&arena, 160);
	uint8_t *a = vly_arena_open(&arena, 32, &n_bytes);
	uint8_t *b = vly_arena_open(&arena, 32, &n_bytes);

	cr_assert(vly_arena_take(&arena, b, 16));
	cr_assert_null(vly_arena_get(&arena, 64));
	vly_arena_reset(&arena);
	cr_assert_eq((uint8_t *)vly_arena_get(&arena, 160), first);
	cr_assert_null(vly_arena_get(&arena, 1), "the rooms are not free");
	cr_assert(vly_arena_take(&arena, a, 32), "nor are they forgotten");
	cr_assert(vly_arena_take(&arena, b, 16));
	cr_assert_not(vly_arena_take(&arena, b, 17), "but for what was given back");
	vly_arena_end_callback(&arena);
	vly_arena_reset(&arena);
	cr_assert_eq((uint8_t *)vly_arena_get(&arena, 256), first);
	vly_arena_fini(&arena);
}

Test(arena, without_memory_there_is_none)
{
	struct vly_arena arena;

	fault_arm(FAULT_MMAP, 1, ENOMEM);
	cr_assert_eq(vly_arena_init(&arena, NULL, 64), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	vly_arena_fini(&arena);
}
