/* SPDX-License-Identifier: MIT */

/* Messages as both backends make them of what is to be sent, and segments in both directions. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "bench.h"
#include "lib/skip.h"

Test(msgs, messages_leave_in_the_order_of_their_heads)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct vly_tx tx[] = { make_tx(&b, "zero"), make_tx(&b, ""), make_tx(&b, "two") };
		const uint16_t heads[] = { 2, 0, 1 };
		struct volley_addr from;

		open_bench(&b, names[i], 4, "127.0.0.1:0", 0);
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads, 3), 3);
		expect_client_gets(&b, "two", &from);
		cr_assert_eq(from.in.sin_port, b.addr.in.sin_port);
		expect_client_gets(&b, "zero", NULL);
		expect_client_gets(&b, "", NULL);
		cr_assert_eq(vly_io_get_tx_syscalls(b.io), is_batched(&b) ? 1 : 3);
		close_bench(&b);
	}
}

Test(msgs, an_error_ends_the_batch_and_comes_first_in_the_next)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct vly_tx tx[] = { make_tx(&b, "a"), make_tx(&b, "b"), make_tx(&b, "c") };
		const uint16_t heads[] = { 0, 1, 2 };
		struct volley_addr nobody;

		open_bench(&b, names[i], 4, "127.0.0.1:0", 0);
		nobody = b.client_addr;
		nobody.in.sin_port = 0;
		tx[1].peer = &nobody;
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads, 3), 1);
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads + 1, 2), -EINVAL);
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads + 2, 1), 1);
		expect_client_gets(&b, "a", NULL);
		expect_client_gets(&b, "c", NULL);
		cr_assert_eq(vly_io_get_tx_syscalls(b.io), is_batched(&b) ? 3 : 4);
		close_bench(&b);
	}
}

Test(msgs, no_call_sends_more_than_the_kernel_takes)
{
	static struct vly_tx tx[1100];
	static uint16_t heads[1100];

	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };

		open_bench(&b, names[i], 4, "127.0.0.1:0", 0);
		for (uint16_t k = 0; k < 1100; k++) {
			tx[k] = make_tx(&b, "x");
			heads[k] = k;
		}
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads, 1100), 1024);
		close_bench(&b);
	}
}

Test(msgs, replies_leave_from_the_address_they_are_told)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct volley_addr local = loopback_addr("127.0.0.5:0"), from;
		struct vly_tx tx[] = { make_tx(&b, "five"), make_tx(&b, "any") };
		const uint16_t heads[] = { 0, 1 };

		open_bench(&b, names[i], 4, "0.0.0.0:0", VLY_CMSG_LOCAL);
		tx[0].local = &local;
		tx[0].header = VLY_CMSG_HEADER_LOCAL;
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads, 2), 2);
		expect_client_gets(&b, "five", &from);
		cr_assert_eq(from.in.sin_addr.s_addr, local.in.sin_addr.s_addr);
		expect_client_gets(&b, "any", &from);
		cr_assert_eq(from.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
		close_bench(&b);
	}
}

Test(msgs, a_chain_of_entries_is_one_message_of_many_datagrams)
{
	if (!has(VLY_PROBE_GSO))
		skip_test("this kernel has no UDP_SEGMENT");
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct volley_addr local = loopback_addr("127.0.0.5:0"), from;
		struct vly_tx tx[] = { make_tx(&b, "aaaa"), make_tx(&b, "single"),
				       make_tx(&b, "bbbb"), make_tx(&b, "cc") };
		const uint16_t heads[] = { 0, 1 };

		open_bench(&b, names[i], 4, "0.0.0.0:0", VLY_CMSG_LOCAL);
		tx[0].n_segments = 3;
		tx[0].next = 2;
		tx[2].next = 3;
		tx[0].local = &local;
		tx[0].header = VLY_CMSG_HEADER_LOCAL;
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads, 2), 2);
		cr_assert_eq(vly_io_get_tx_syscalls(b.io), is_batched(&b) ? 1 : 2);
		expect_client_gets(&b, "aaaa", &from);
		cr_assert_eq(from.in.sin_addr.s_addr, local.in.sin_addr.s_addr);
		expect_client_gets(&b, "bbbb", NULL);
		expect_client_gets(&b, "cc", &from);
		cr_assert_eq(from.in.sin_addr.s_addr, local.in.sin_addr.s_addr);
		expect_client_gets(&b, "single", NULL);
		close_bench(&b);
	}
}

/* Pieces that lie one behind another become one, but never across messages, nor out of order. */
Test(msgs, a_chain_may_lie_in_memory_in_any_way)
{
	static const char text[] = "aaaabbbbccccddeeee";
	if (!has(VLY_PROBE_GSO))
		skip_test("this kernel has no UDP_SEGMENT");
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct vly_tx tx[7];
		/* Onwards, a gap; a message that begins where that one ended, back; onwards. */
		static const uint8_t at[] = { 0, 4, 12, 14, 8, 4, 8 };
		static const char *const expected[] = { "aaaa", "bbbb", "dd",  "eeee",
							"cccc", "bbbb", "cccc" };
		const uint16_t heads[] = { 0, 3, 5 };

		open_bench(&b, names[i], 4, "127.0.0.1:0", 0);
		for (uint16_t k = 0; k < 7; k++) {
			tx[k] = make_tx(&b, expected[k]);
			tx[k].data = (const uint8_t *)text + at[k];
			tx[k].next = (uint16_t)(k + 1);
		}
		tx[0].n_segments = 3;
		tx[3].n_segments = 2;
		tx[5].n_segments = 2;
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads, 3), 3);
		for (int k = 0; k < 7; k++)
			expect_client_gets(&b, expected[k], NULL);
		close_bench(&b);
	}
}

/* What a peer sent as one message comes as one, with its segment size. */
Test(msgs, coalesced_messages_come_with_their_segment_size)
{
	if (!has(VLY_PROBE_GSO) || !has(VLY_PROBE_GRO))
		skip_test("this kernel has no UDP_GRO");
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct vly_tx tx[] = { make_tx(&b, "aaaa"), make_tx(&b, "bbbb"),
				       make_tx(&b, "cc") };
		uint16_t head = 0;

		open_bench(&b, names[i], 4, "127.0.0.1:0", VLY_CMSG_SEGMENT);
		for (int k = 0; k < 3; k++)
			tx[k].peer = &b.addr; /* to itself */
		tx[0].n_segments = 3;
		tx[0].next = 1;
		tx[1].next = 2;
		cr_assert_eq(vly_io_send(b.io, 0, tx, &head, 1), 1);
		cr_assert_eq(vly_io_recv(b.io, 0, 4, true), 1);
		cr_assert_eq(b.slots.slots[0].len, 10);
		cr_assert_eq(b.slots.slots[0].segment_bytes, 4);
		cr_assert_arr_eq(b.slots.slots[0].data, "aaaabbbbcc", 10);
		/* One that comes alone says nothing, whatever was there before. */
		loopback_send(b.client, &b.addr, 9, 8);
		cr_assert_eq(vly_io_recv(b.io, 0, 4, true), 1);
		cr_assert_eq(b.slots.slots[0].segment_bytes, 0);
		cr_assert_eq(b.slots.slots[0].len, 8);
		close_bench(&b);
	}
}
