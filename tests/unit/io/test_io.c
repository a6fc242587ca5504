/* SPDX-License-Identifier: MIT */

/* The table of backends, and receiving: one suite for both. Sending is test_msgs.c's. */

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/cancel.h>

#include "bench.h"
#include "lib/fault.h"
#include "lib/skip.h"

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

Test(io, the_first_that_is_refused_nothing_is_picked)
{
	struct vly_probe probe = { .n_segments = 0 };
	enum vly_probe_call refused;

	cr_assert_str_eq(vly_io_pick("auto", &probe, &refused), "mmsg");
	cr_assert_eq(refused, VLY_PROBE_N);
	probe.errors[VLY_PROBE_SENDMMSG] = -EPERM;
	cr_assert_str_eq(vly_io_pick(NULL, &probe, &refused), "msg");
	cr_assert_eq(refused, VLY_PROBE_SENDMMSG);
	cr_assert_str_eq(vly_io_pick("msg", &probe, &refused), "msg");
	cr_assert_eq(refused, VLY_PROBE_N, "nobody wants it");
	cr_assert_null(vly_io_pick("mmsg", &probe, &refused));
	cr_assert_eq(refused, VLY_PROBE_SENDMMSG);
	probe.errors[VLY_PROBE_RECVMSG] = -ENOSYS;
	cr_assert_null(vly_io_pick("auto", &probe, &refused));
	cr_assert_eq(refused, VLY_PROBE_SENDMMSG, "of the first choice");
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
			skip_test("a buffer for 1,024 datagrams needs CAP_NET_ADMIN");
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
		cr_assert_eq(b.slots.slots[0].full_bytes, 1501);
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
