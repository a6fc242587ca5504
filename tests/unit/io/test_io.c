/* SPDX-License-Identifier: MIT */

/*
 * One suite for both socket backends, because the engine must not be able to tell them apart, but
 * for the number of system calls.
 */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/cancel.h>

#include "io/io.h"
#include "io/io_ops.h"
#include "lib/fault.h"
#include "lib/loopback.h"
#include "sys/probe.h"

static const char *const names[] = { "mmsg", "msg" };
enum { N_NAMES = 2 };

/* One backend with one socket, and a client. */
struct bench {
	const char *name;
	struct vly_slots slots;
	struct vly_io *io;
	int fd;
	int client;
	struct volley_addr addr; /* of fd */
	struct volley_addr client_addr;
};

static void attach(struct bench *b, uint32_t listener, int fd, int family, uint32_t want)
{
	struct vly_io_sock port = { .fd = fd, .family = family, .want = want };

	cr_assert_eq(vly_cmsg_enable(fd, family, want), 0);
	cr_assert_eq(vly_io_attach(b->io, listener, &port), 0);
}

static void open_bench(struct bench *b, const char *name, uint32_t n_slots, const char *address,
		       uint32_t want)
{
	b->name = name;

	cr_assert_eq(vly_slots_init(&b->slots, NULL, n_slots, 1500), 0);
	cr_assert_eq(vly_io_open(name, &b->slots, &b->io), 0);
	b->fd = loopback_open(address, &b->addr);
	b->client = loopback_open("127.0.0.1:0", &b->client_addr);
	attach(b, 0, b->fd, b->addr.sa.sa_family, want);
}

static void close_bench(struct bench *b)
{
	vly_io_close(b->io);
	vly_slots_fini(&b->slots);
	close(b->fd);
	close(b->client);
}

static bool is_batched(const struct bench *b)
{
	return strcmp(b->name, "mmsg") == 0;
}

static bool has(uint32_t bit)
{
	struct vly_probe probe;

	cr_assert_eq(vly_probe_run(&probe), 0);
	return (probe.bits & bit) != 0;
}

/* Replies to the client, alike but for the payload. */
static struct vly_tx make_tx(const struct bench *b, const char *text)
{
	return (struct vly_tx){ .data = (const uint8_t *)text,
				.len = (uint32_t)strlen(text),
				.peer = &b->client_addr,
				.n_segments = 1 };
}

static void expect_client_gets(const struct bench *b, const char *text,
			       struct volley_addr *ret_from)
{
	uint8_t buf[2048];
	int n = loopback_recv(b->client, buf, sizeof buf, ret_from);

	cr_assert_eq(n, (int)strlen(text), "%s: %d bytes instead of \"%s\"", b->name, n, text);
	cr_assert_arr_eq(buf, text, (size_t)n, "%s: not \"%s\"", b->name, text);
}

/* The table ------------------------------------------------------------------------------------ */

Test(io, names_are_known_and_open)
{
	struct vly_slots slots;
	struct vly_io *io = NULL;

	cr_assert_eq(vly_slots_init(&slots, NULL, 4, 100), 0);
	for (int i = 0; i < N_NAMES; i++) {
		cr_assert(vly_io_is_name(names[i]));
		cr_assert_eq(vly_io_open(names[i], &slots, &io), 0);
		cr_assert_str_eq(vly_io_get_name(io), names[i]);
		vly_io_close(io);
	}
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? "auto" : NULL;

		cr_assert(vly_io_is_name(name));
		cr_assert_eq(vly_io_open(name, &slots, &io), 0);
		cr_assert_str_eq(vly_io_get_name(io), "mmsg", "the best comes first");
		vly_io_close(io);
	}
	io = NULL;
	cr_assert_not(vly_io_is_name("mms"));
	cr_assert_not(vly_io_is_name("null"), "only in builds for benchmarks");
	cr_assert_eq(vly_io_open("mms", &slots, &io), -EINVAL);
	cr_assert_null(io);
	vly_io_close(NULL);
	vly_slots_fini(&slots);
}

Test(io, open_and_attach_need_memory)
{
	struct vly_io_sock port = { .fd = -1, .family = AF_INET, .want = VLY_CMSG_LOCAL };
	struct vly_slots slots;
	struct vly_io *io = NULL;

	cr_assert_eq(vly_slots_init(&slots, NULL, 4, 100), 0);
	for (int i = 0; i < N_NAMES; i++) {
		unsigned int nth = 1;

		for (;; nth++) {
			fault_arm(FAULT_ALIGNED_ALLOC, nth, ENOMEM);
			if (vly_io_open(names[i], &slots, &io) == 0)
				break;
			cr_assert_eq(fault_disarm(), 1);
		}
		cr_assert_eq(fault_disarm(), 0);
		cr_assert_gt(nth, 3);
		for (nth = 1; nth <= 2; nth++) {
			fault_arm(FAULT_ALIGNED_ALLOC, nth, ENOMEM);
			cr_assert_eq(vly_io_attach(io, 3, &port), -ENOMEM);
		}
		fault_disarm();
		cr_assert_eq(vly_io_attach(io, 3, &port), 0);
		vly_io_close(io);
	}
	vly_slots_fini(&slots);
}

/* Receiving ------------------------------------------------------------------------------------ */

static void receive(const char *name, uint32_t n_slots)
{
	struct bench b = { 0 };
	uint64_t n_calls = 0;
	uint32_t tag = 0;

	open_bench(&b, name, n_slots, "127.0.0.1:0", 0);
	cr_assert_eq(vly_io_recv(b.io, 0, n_slots, false), 0, "nothing is there");
	n_calls++;
	for (int i = 0; i < 7; i++)
		loopback_send(b.client, &b.addr, (uint8_t)i, 10 + (size_t)i);
	while (tag < 7) {
		uint32_t n = n_slots < 3 ? n_slots : 3;
		int r = vly_io_recv(b.io, 0, n, true);

		cr_assert_eq(r, (int)(7 - tag < n ? 7 - tag : n), "%s", name);
		n_calls += is_batched(&b) ? 1 : (uint64_t)r + ((uint32_t)r < n);
		for (int i = 0; i < r; i++, tag++) {
			const struct vly_slot *slot = &b.slots.slots[i];

			cr_assert_eq(slot->data[0], tag);
			cr_assert_eq(slot->len, 10 + tag);
			cr_assert_eq(slot->flags, 0);
			cr_assert_eq(slot->segment_bytes, 0);
			cr_assert_eq(slot->peer.len, sizeof slot->peer.in);
			cr_assert_eq(slot->peer.in.sin_port, b.client_addr.in.sin_port);
		}
	}
	cr_assert_eq(vly_io_recv(b.io, 0, n_slots, false), 0);
	cr_assert_eq(vly_io_get_rx_syscalls(b.io), n_calls + 1, "%s", name);
	close_bench(&b);
}

Test(io, receive_takes_what_is_there_and_no_more_than_asked)
{
	for (int i = 0; i < N_NAMES; i++) {
		receive(names[i], 1);
		receive(names[i], 8);
		receive(names[i], 1024);
	}
}

Test(io, a_thousand_slots_take_a_thousand_datagrams)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		int room = 4 << 20;

		open_bench(&b, names[i], 1024, "127.0.0.1:0", 0);
		if (setsockopt(b.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
			cr_skip_test("a buffer for 1,024 datagrams needs CAP_NET_ADMIN");
		for (int k = 0; k < 1030; k++)
			loopback_send(b.client, &b.addr, (uint8_t)k, 8);
		cr_assert_eq(vly_io_recv(b.io, 0, 1024, false), 1024);
		for (int k = 0; k < 1024; k++)
			cr_assert_eq(b.slots.slots[k].data[0], (uint8_t)k);
		cr_assert_eq(vly_io_recv(b.io, 0, 1024, false), 6);
		close_bench(&b);
	}
}

Test(io, truncation_is_said_and_forgotten)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };

		open_bench(&b, names[i], 2, "127.0.0.1:0", 0);
		loopback_send(b.client, &b.addr, 1, 1501);
		loopback_send(b.client, &b.addr, 2, 1500);
		loopback_send(b.client, &b.addr, 3, 1);
		cr_assert_eq(vly_io_recv(b.io, 0, 2, false), 2);
		cr_assert_eq(b.slots.slots[0].flags, VLY_SLOT_TRUNCATED);
		cr_assert_eq(b.slots.slots[0].len, 1500);
		cr_assert_eq(b.slots.slots[1].flags, 0);
		cr_assert_eq(vly_io_recv(b.io, 0, 2, false), 1);
		cr_assert_eq(b.slots.slots[0].flags, 0);
		cr_assert_eq(b.slots.slots[0].len, 1);
		close_bench(&b);
	}
}

/*
 * An IPv6 peer brings one control message and a mapped one brings two: a header that is not armed
 * again after the first has no room for the second's.
 */
Test(io, headers_are_armed_again_for_more_control_messages)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct volley_addr to4 = loopback_addr("127.0.0.1:0");
		struct volley_addr to6 = loopback_addr("[::1]:0");
		int client6 = loopback_open("[::1]:0", NULL);

		open_bench(&b, names[i], 1, "[::]:0", VLY_CMSG_LOCAL);
		to4.in.sin_port = to6.in6.sin6_port = b.addr.in6.sin6_port;
		for (int round = 0; round < 3; round++) {
			const struct vly_cmsg_info *info = &b.slots.infos[0];

			loopback_send(client6, &to6, 6, 8);
			cr_assert_eq(vly_io_recv(b.io, 0, 1, true), 1);
			cr_assert_eq(b.slots.slots[0].flags, 0);
			cr_assert(IN6_IS_ADDR_LOOPBACK(&info->local.in6.sin6_addr));
			loopback_send(b.client, &to4, 4, 8);
			cr_assert_eq(vly_io_recv(b.io, 0, 1, true), 1);
			cr_assert_eq(b.slots.slots[0].flags, 0, "%s", names[i]);
			cr_assert_eq(b.slots.slots[0].peer.len, sizeof(struct sockaddr_in6));
			cr_assert(IN6_IS_ADDR_V4MAPPED(&b.slots.slots[0].peer.in6.sin6_addr));
			cr_assert(IN6_IS_ADDR_V4MAPPED(&info->local.in6.sin6_addr));
		}
		close(client6);
		close_bench(&b);
	}
}

/* Ports share slots: each datagram is described anew, whatever the other port left there. */
Test(io, ports_share_slots_but_nothing_else)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct volley_addr to = loopback_addr("127.0.0.1:0"), addr6;
		int fd6 = loopback_open("[::1]:0", &addr6);
		int client6 = loopback_open("[::1]:0", NULL);

		open_bench(&b, names[i], 2, "0.0.0.0:0", VLY_CMSG_LOCAL);
		to.in.sin_port = b.addr.in.sin_port;
		attach(&b, 5, fd6, AF_INET6, 0);
		for (int round = 0; round < 2; round++) {
			loopback_send(b.client, &to, 4, 8);
			loopback_send(client6, &addr6, 6, 8);
			cr_assert_eq(vly_io_recv(b.io, 0, 2, true), 1);
			cr_assert_eq(b.slots.slots[0].data[0], 4);
			cr_assert_eq(b.slots.slots[0].peer.len, sizeof(struct sockaddr_in));
			cr_assert_eq(vly_io_recv(b.io, 5, 2, true), 1);
			cr_assert_eq(b.slots.slots[0].data[0], 6);
			cr_assert_eq(b.slots.slots[0].peer.len, sizeof(struct sockaddr_in6));
		}
		vly_io_detach(b.io, 5);
		attach(&b, 5, fd6, AF_INET6, VLY_CMSG_LOCAL);
		loopback_send(client6, &addr6, 7, 8);
		cr_assert_eq(vly_io_recv(b.io, 5, 2, true), 1);
		cr_assert_eq(b.slots.infos[0].local.len, sizeof(struct sockaddr_in6));
		close(fd6);
		close(client6);
		close_bench(&b);
	}
}

Test(io, a_socket_error_comes_once)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct volley_addr nobody;
		int closed = loopback_open("127.0.0.1:0", &nobody);

		open_bench(&b, names[i], 4, "127.0.0.1:0", 0);
		close(closed);
		cr_assert_eq(connect(b.fd, &nobody.sa, nobody.len), 0);
		cr_assert_eq(send(b.fd, "x", 1, 0), 1);
		cr_assert_eq(loopback_wait(b.fd), 1);
		cr_assert_eq(vly_io_recv(b.io, 0, 4, false), -ECONNREFUSED);
		cr_assert_eq(vly_io_recv(b.io, 0, 4, false), 0);
		close_bench(&b);
	}
}

Test(io, waiting_is_a_cancellation_point_and_nothing_else_is)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct vly_tx tx = make_tx(&b, "x");
		uint16_t head = 0;

		open_bench(&b, names[i], 4, "127.0.0.1:0", 0);
		loopback_send(b.client, &b.addr, 1, 8);
		cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
		cr_assert_eq(vly_io_recv(b.io, 0, 4, true), -ECANCELED);
		cr_assert_eq(vly_io_recv(b.io, 0, 4, false), 1);
		cr_assert_eq(vly_io_send(b.io, 0, &tx, &head, 1), 1);
		volley_cancel_clear();
		loopback_send(b.client, &b.addr, 2, 8);
		cr_assert_eq(vly_io_recv(b.io, 0, 4, true), 1);
		close_bench(&b);
	}
	volley_cancel_detach();
}

/* Sending -------------------------------------------------------------------------------------- */

Test(io, messages_leave_in_the_order_of_their_heads)
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

Test(io, an_error_ends_the_batch_and_comes_first_in_the_next)
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

Test(io, no_call_sends_more_than_the_kernel_takes)
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

Test(io, replies_leave_from_the_address_they_are_told)
{
	for (int i = 0; i < N_NAMES; i++) {
		struct bench b = { 0 };
		struct volley_addr local = loopback_addr("127.0.0.5:0"), from;
		struct vly_tx tx[] = { make_tx(&b, "five"), make_tx(&b, "any") };
		const uint16_t heads[] = { 0, 1 };

		open_bench(&b, names[i], 4, "0.0.0.0:0", VLY_CMSG_LOCAL);
		tx[0].local = &local;
		cr_assert_eq(vly_io_send(b.io, 0, tx, heads, 2), 2);
		expect_client_gets(&b, "five", &from);
		cr_assert_eq(from.in.sin_addr.s_addr, local.in.sin_addr.s_addr);
		expect_client_gets(&b, "any", &from);
		cr_assert_eq(from.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
		close_bench(&b);
	}
}

Test(io, a_chain_of_entries_is_one_message_of_many_datagrams)
{
	if (!has(VLY_PROBE_GSO))
		cr_skip_test("this kernel has no UDP_SEGMENT");
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
Test(io, a_chain_may_lie_in_memory_in_any_way)
{
	static const char text[] = "aaaabbbbccccddeeee";
	if (!has(VLY_PROBE_GSO))
		cr_skip_test("this kernel has no UDP_SEGMENT");
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
Test(io, coalesced_messages_come_with_their_segment_size)
{
	if (!has(VLY_PROBE_GSO) || !has(VLY_PROBE_GRO))
		cr_skip_test("this kernel has no UDP_GRO");
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
