/* SPDX-License-Identifier: MIT */

/*
 * Replies in a callback, on a scripted backend: where their bytes are taken from, in which order
 * they leave and from which address, and which are refused. Copies that need room are
 * test_arena.c's.
 */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "seen.h"

static void expect_sent(const struct fake_server *fake, uint32_t i, const char *text)
{
	const struct fake_sent *sent = fake_io_sent(fake->io, i);

	cr_assert_eq(sent->len, strlen(text), "datagram %u has %u bytes", i, sent->len);
	cr_assert_arr_eq(sent->data, text, sent->len, "datagram %u is \"%.*s\"", i, (int)sent->len,
			 (const char *)sent->data);
}

/* Reply in place, then change the bytes: what leaves is what is there at the flush. */
static void reply_then_change(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			      void *arg)
{
	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, 5), 0);
	packets[0].data[0] = 'J';
}

Test(reply, a_reply_in_place_is_not_copied)
{
	struct fake_server fake = open_then(reply_then_change);

	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "hello", .len = 5 });
	fake_server_run(&fake);
	expect_sent(&fake, 0, "Jello");
	cr_assert_eq(fake.worker->arena.used, 0);
	fake_server_close(&fake);
}

/* The room behind the datagram belongs to the reply too. */
static void reply_longer_in_place(struct volley_worker *worker, struct volley_packet *packets,
				  size_t n, void *arg)
{
	(void)n, (void)arg;
	memcpy(packets[0].data + 2, "y there", 7);
	cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data + 1, 8), 0);
	cr_assert_eq(worker->arena.used, 0);
	packets[0].data[1] = 'E';
}

Test(reply, a_reply_in_place_may_begin_later_and_be_longer)
{
	struct fake_server fake = open_then(reply_longer_in_place);

	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "hel", .len = 3 });
	fake_server_run(&fake);
	expect_sent(&fake, 0, "Ey there");
	fake_server_close(&fake);
}

static void reply_copies(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			 void *arg)
{
	char own[] = "own";

	(void)worker, (void)arg;
	cr_assert_eq(n, 2);
	cr_assert_eq(volley_packet_reply(&packets[0], own, 3), 0);
	memcpy(own, "OWN", 3);
	/* The second reply to a packet, though in its memory; and one of another's memory. */
	cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, 3), 0);
	cr_assert_eq(volley_packet_reply(&packets[1], packets[0].data, 3), 0);
	cr_assert_eq(volley_packet_reply(&packets[1], packets[1].data, 3), 0);
	memcpy(packets[0].data, "000", 3);
	memcpy(packets[1].data, "111", 3);
	cr_assert_eq(volley_packet_reply(&packets[0], packets[1].data, 3), 0);
}

Test(reply, everything_else_is_copied_at_once_and_leaves_in_order)
{
	struct fake_server fake = open_then(reply_copies);

	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "aaa", .len = 3 });
	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "bbb", .len = 3 });
	fake_server_run(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 5);
	expect_sent(&fake, 0, "own");
	expect_sent(&fake, 1, "aaa");
	expect_sent(&fake, 2, "aaa");
	expect_sent(&fake, 3, "bbb");
	expect_sent(&fake, 4, "111");
	fake_server_close(&fake);
}

/* The first reply in place, then a second over the same bytes. */
static void reply_twice(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	(void)worker, (void)n, (void)arg;
	for (int i = 0; i < 3; i++)
		cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, 1 + (size_t)i), 0);
}

Test(reply, several_replies_to_one_packet_leave_in_order)
{
	struct fake_server fake = open_then(reply_twice);

	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "abc", .len = 3 });
	fake_server_run(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 3);
	expect_sent(&fake, 0, "a");
	expect_sent(&fake, 1, "ab");
	expect_sent(&fake, 2, "abc");
	fake_server_close(&fake);
}

static void reply_nothing(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	(void)worker, (void)n, (void)arg;
	cr_assert_eq(packets[0].len, 0);
	cr_assert_eq(volley_packet_reply(&packets[0], NULL, 0), 0);
	cr_assert_eq(volley_packet_reply(&packets[0], "", 0), 0);
}

Test(reply, an_empty_datagram_is_a_datagram)
{
	struct fake_server fake = open_then(reply_nothing);

	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 0 });
	fake_server_run(&fake);
	cr_assert_eq(fake_server_stats(&fake).delivered, 1);
	cr_assert_eq(fake_server_stats(&fake).tx_sent, 2);
	cr_assert_eq(fake_io_sent(fake.io, 0)->len, 0);
	cr_assert_eq(fake_io_sent(fake.io, 1)->len, 0);
	fake_server_close(&fake);
}

static void reply_too_long(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			   void *arg)
{
	(void)worker, (void)n, (void)arg;
	cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, 65528), -EMSGSIZE);
	cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, SIZE_MAX), -EMSGSIZE);
	cr_assert_eq(volley_packet_reply(&packets[0], packets[0].data, 65527), 0);
}

Test(reply, a_reply_may_have_65527_bytes)
{
	struct fake_server fake = open_then(reply_too_long);
	struct volley_stats stats;

	fake_io_recv_n(fake.io, 0, 1, 8);
	fake_server_run(&fake);
	stats = fake_server_stats(&fake);
	cr_assert_eq(stats.tx_requested, 3);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_EMSGSIZE], 2);
	cr_assert_eq(fake_io_sent(fake.io, 0)->len, 65527);
	fake_server_close(&fake);
}

static int expect_reply;

static void reply_expecting(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(volley_packet_reply(&packets[i], packets[i].data, packets[i].len),
			     expect_reply);
}

Test(reply, replies_that_would_loop_or_fail_are_refused)
{
	struct fake_server fake = open_then(reply_expecting);
	struct volley_addr self = *fake.addr;
	struct volley_addr port0 = *fake_peer(1);

	expect_reply = -EINVAL;
	port0.in.sin_port = 0;
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .peer = &self });
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .peer = &port0 });
	fake_server_run(&fake);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_REFUSED], 2);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 0);

	/* The same port elsewhere, and another port here, are clients. */
	expect_reply = 0;
	self.in.sin_port = htons((uint16_t)(volley_addr_get_port(fake.addr) ^ 1));
	fake_io_recv(fake.io,
		     &(struct fake_datagram){ .len = 4,
					      .peer = fake_peer(volley_addr_get_port(fake.addr)) });
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .peer = &self });
	fake_server_run(&fake);
	cr_assert_eq(fake_io_n_sent(fake.io), 2);
	fake_server_close(&fake);
}

Test(reply, refusal_knows_ipv6)
{
	struct fake_server fake;
	struct volley_addr self, other, v4;

	fake_server_open(&fake, NULL, "[::1]:0", VOLLEY_LISTEN(.on_batch = reply_expecting));
	self = other = *fake.addr;
	other.in6.sin6_addr.s6_addr[0] = 0x20;
	v4 = *fake_peer(volley_addr_get_port(fake.addr));
	expect_reply = -EINVAL;
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .peer = &self });
	fake_server_run(&fake);
	expect_reply = 0;
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .peer = &other });
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .peer = &v4 });
	fake_server_run(&fake);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_REFUSED], 1);
	cr_assert_eq(fake_io_n_sent(fake.io), 2);
	fake_server_close(&fake);
}

/* Local addresses ------------------------------------------------------------------------------ */

Test(reply, a_bound_listener_replies_from_its_socket)
{
	struct fake_server fake = open_then(echo);

	fake_io_recv_n(fake.io, 0, 1, 8);
	fake_server_run(&fake);
	cr_assert_eq(fake_io_sent(fake.io, 0)->local.len, 0);
	fake_server_close(&fake);
}

Test(reply, a_wildcard_listener_replies_from_where_it_was_asked)
{
	struct fake_server fake;
	struct vly_cmsg_info info = { .reply_ifindex = 3, .found = VLY_CMSG_LOCAL };
	struct vly_cmsg_info multicast = { .reply_ifindex = 3, .found = VLY_CMSG_LOCAL };

	seen.then = echo;
	fake_server_open(&fake, NULL, "0.0.0.0:0", VOLLEY_LISTEN(.on_batch = look));
	info.local = *fake_peer(0);
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .info = &info });
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .info = &multicast });
	fake_server_run(&fake);
	cr_assert_eq(seen.packets[0].local->in.sin_addr.s_addr, info.local.in.sin_addr.s_addr);
	cr_assert_eq(seen.packets[0].local->in.sin_port, fake.addr->in.sin_port,
		     "with the listener's port");
	cr_assert_eq(fake_io_sent(fake.io, 0)->local.in.sin_addr.s_addr,
		     info.local.in.sin_addr.s_addr);
	cr_assert_eq(fake_io_sent(fake.io, 0)->ifindex, 3);
	cr_assert_eq(seen.packets[1].local, fake.addr);
	cr_assert_eq(fake_io_sent(fake.io, 1)->local.len, 0, "the kernel chooses");
	fake_server_close(&fake);
}

static struct volley_addr destinations[3];
static int results[3];

static void ask_destination(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			    void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n && i < 3; i++)
		results[i] = volley_packet_get_destination(&packets[i], &destinations[i]);
}

Test(reply, the_destination_is_the_true_one)
{
	struct vly_cmsg_info unicast = { .found = VLY_CMSG_LOCAL, .local = *fake_peer(0) };
	struct vly_cmsg_info broadcast = unicast;
	struct vly_cmsg_info silent = { .found = 0 };
	struct fake_server fake;

	broadcast.cast = VLY_CMSG_BROADCAST;
	broadcast.destination = unicast.local;
	broadcast.destination.in.sin_addr.s_addr |= htonl(255);
	fake_server_open(&fake, NULL, "0.0.0.0:0", VOLLEY_LISTEN(.on_batch = ask_destination));
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .info = &unicast });
	fake_io_recv(fake.io, &(struct fake_datagram){
				      .len = 4, .info = &broadcast, .flags = VLY_SLOT_BROADCAST });
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .info = &silent });
	fake_server_run(&fake);
	cr_assert_eq(results[0], 0);
	cr_assert_eq(destinations[0].in.sin_addr.s_addr, unicast.local.in.sin_addr.s_addr);
	cr_assert_eq(destinations[0].in.sin_port, fake.addr->in.sin_port);
	cr_assert_eq(results[1], 0);
	cr_assert_eq(destinations[1].in.sin_addr.s_addr, broadcast.destination.in.sin_addr.s_addr);
	cr_assert_eq(destinations[1].in.sin_port, fake.addr->in.sin_port);
	cr_assert_eq(results[2], -ENODATA, "nobody said");
	fake_server_close(&fake);
}

Test(reply, a_bound_listeners_destination_is_its_address)
{
	struct fake_server fake;

	fake_server_open(&fake, NULL, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = ask_destination));
	fake_io_recv_n(fake.io, 0, 1, 8);
	fake_server_run(&fake);
	cr_assert_eq(results[0], 0);
	cr_assert(volley_addr_is_equal(&destinations[0], fake.addr));
	fake_server_close(&fake);
}
