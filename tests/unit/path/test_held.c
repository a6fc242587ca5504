/* SPDX-License-Identifier: MIT */

/*
 * Held packets, on the scripted backend and on the test's own thread: every way in which holding
 * can begin and end, each in the ledger once. What threads do to each other is
 * tests/race/race_held.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include <volley/send.h>

#include "lib/fake_io.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/held.h"
#include "server/state.h"
#include "sys/clock.h"
#include "worker/chores.h"

#define ADDRESS "127.0.0.1:0"

static struct volley_held tokens[32];
static int results[32];
static uint32_t n_tokens;

static void hold(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++, n_tokens++)
		results[n_tokens] = volley_packet_hold(&packets[i], &tokens[n_tokens]);
}

static struct fake_server open_holding(const struct volley_config *config)
{
	struct fake_server fake;

	n_tokens = 0;
	fake_server_open(&fake, config, ADDRESS, VOLLEY_LISTEN(.on_batch = hold));
	return fake;
}

static void receive(struct fake_server *fake, const char *text, uint16_t port)
{
	fake_io_recv(fake->io, &(struct fake_datagram){ .data = text,
							.len = (uint32_t)strlen(text),
							.peer = fake_peer(port) });
	fake_server_run(fake);
}

Test(held, a_reply_comes_later_and_goes_to_the_one_who_asked)
{
	struct fake_server fake = open_holding(NULL);

	receive(&fake, "first", 11);
	receive(&fake, "second", 22);
	cr_assert_eq(results[0], 0);
	cr_assert_eq(fake_server_stats(&fake).held_now, 2);
	cr_assert_eq(volley_held_reply(fake.server, tokens[1], "to 22", 5), 0);
	cr_assert_eq(fake_io_n_sent(fake.io), 0, "the worker has not looked yet");
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 1, "and that is in the books");
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 1);
	cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, 0)->peer), 22);
	cr_assert_arr_eq(fake_io_sent(fake.io, 0)->data, "to 22", 5);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], NULL, 0), 0);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_sent(fake.io, 1)->len, 0);
	cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, 1)->peer), 11);
	cr_assert_eq(fake_server_stats(&fake).held_replied, 2);
	cr_assert_eq(fake_server_stats(&fake).held_now, 0);
	cr_assert_eq(fake_server_stats(&fake).tx_foreign, 2);
	fake_server_close(&fake);
}

Test(held, a_token_is_good_once)
{
	struct fake_server fake = open_holding(NULL);
	struct volley_held none = { 0 };
	struct volley_held far;

	receive(&fake, "a", 11);
	receive(&fake, "b", 22);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), 0);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), -ESTALE);
	cr_assert_eq(volley_held_release(fake.server, tokens[0]), -ESTALE);
	cr_assert_eq(volley_held_get_payload(fake.server, tokens[0], NULL, 0), -ESTALE);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), -ESTALE);
	cr_assert_eq(volley_held_release(fake.server, tokens[1]), 0);
	cr_assert_eq(volley_held_release(fake.server, tokens[1]), -ESTALE);
	/* The same places in memory, held again: the old tokens stay stale. */
	receive(&fake, "c", 33);
	receive(&fake, "d", 44);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), -ESTALE);
	cr_assert_eq(volley_held_reply(fake.server, tokens[1], "x", 1), -ESTALE);
	cr_assert_eq(volley_held_reply(fake.server, none, "x", 1), -ESTALE);
	far = tokens[2];
	far.id |= UINT32_C(0x003fffff); /* no such buffer */
	cr_assert_eq(volley_held_reply(fake.server, far, "x", 1), -ESTALE);
	far = tokens[2];
	far.id |= UINT32_C(0xffc00000); /* no such worker */
	cr_assert_eq(volley_held_reply(fake.server, far, "x", 1), -ESTALE);
	cr_assert_eq(volley_held_release(fake.server, tokens[2]), 0);
	cr_assert_eq(volley_held_release(fake.server, tokens[3]), 0);
	far = tokens[2];
	far.id += UINT64_C(1) << 32; /* the next one, which nobody has been given yet */
	cr_assert_eq(volley_held_release(fake.server, far), -ESTALE);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 1);
	cr_assert_eq(fake_server_stats(&fake).held_released, 3);
	fake_server_close(&fake);
}

Test(held, a_token_of_another_server_is_stale)
{
	struct fake_server one = open_holding(NULL);
	struct fake_server two;

	receive(&one, "a", 11);
	two = open_holding(NULL);
	n_tokens = 1;
	receive(&two, "b", 22);
	cr_assert_eq(volley_held_reply(two.server, tokens[0], "x", 1), -ESTALE);
	cr_assert_eq(volley_held_release(one.server, tokens[0]), 0);
	cr_assert_eq(volley_held_release(two.server, tokens[1]), 0);
	fake_server_close(&one);
	fake_server_close(&two);
}

Test(held, the_payload_can_be_read_back)
{
	struct fake_server fake = open_holding(NULL);
	char text[8] = "........";

	receive(&fake, "question", 11);
	cr_assert_eq(volley_held_get_payload(fake.server, tokens[0], NULL, 0), 8);
	cr_assert_eq(volley_held_get_payload(fake.server, tokens[0], text, 5), 8);
	cr_assert_arr_eq(text, "quest...", 8);
	cr_assert_eq(volley_held_release(fake.server, tokens[0]), 0);
	fake_server_close(&fake);
}

Test(held, there_is_a_limit_and_the_refused_are_counted)
{
	struct fake_server fake = open_holding(VOLLEY_CONFIG(.n_held = 2));

	for (uint16_t i = 0; i < 4; i++)
		receive(&fake, "a", (uint16_t)(11 + i));
	cr_assert_eq(results[1], 0);
	cr_assert_eq(results[2], -ENOBUFS);
	cr_assert_eq(results[3], -ENOBUFS);
	cr_assert_eq(fake_server_stats(&fake).held_taken, 2);
	cr_assert_eq(fake_server_stats(&fake).held_refused, 2);
	cr_assert_eq(fake_server_stats(&fake).delivered, 4);
	cr_assert_eq(volley_held_release(fake.server, tokens[0]), 0);
	receive(&fake, "a", 15);
	cr_assert_eq(results[4], 0);
	cr_assert_eq(volley_held_release(fake.server, tokens[1]), 0);
	cr_assert_eq(volley_held_release(fake.server, tokens[4]), 0);
	fake_server_close(&fake);
}

Test(held, time_ends_holding_in_order)
{
	struct fake_server fake = open_holding(VOLLEY_CONFIG(.hold_us = 1000000));
	uint64_t start_ns = vly_clock_get_ns();
	uint64_t first_ns;

	cr_assert_not(vly_chores_has_timers(fake.worker));
	receive(&fake, "a", 11);
	first_ns = vly_held_get_deadline(fake.worker);
	cr_assert_geq(first_ns, start_ns + 1000000000);
	receive(&fake, "b", 22);
	cr_assert(vly_chores_has_timers(fake.worker));
	cr_assert_eq(vly_held_get_deadline(fake.worker), first_ns);
	cr_assert_leq(vly_chores_get_timeout(fake.worker), 1000000000);
	cr_assert_gt(vly_chores_get_timeout(fake.worker), 0);
	vly_held_expire(fake.worker, first_ns - 1);
	cr_assert_eq(fake_server_stats(&fake).held_expired, 0);
	vly_held_expire(fake.worker, first_ns);
	cr_assert_eq(fake_server_stats(&fake).held_expired, 1);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), -ESTALE);
	cr_assert_eq(volley_held_get_payload(fake.server, tokens[1], NULL, 0), 1);
	vly_held_expire(fake.worker, first_ns + UINT64_C(3600000000000));
	cr_assert_eq(fake_server_stats(&fake).held_expired, 2);
	cr_assert_eq(vly_held_get_deadline(fake.worker), 0);
	cr_assert_eq(vly_chores_get_timeout(fake.worker), -1);
	fake_server_close(&fake);
}

static void await_deadline(struct fake_server *fake)
{
	uint64_t deadline_ns = vly_held_get_deadline(fake->worker);

	while (vly_clock_get_ns() < deadline_ns)
		;
}

/* The worker has not looked: it may be in a callback. */
Test(held, a_token_whose_time_is_over_is_stale_at_once)
{
	struct fake_server fake = open_holding(VOLLEY_CONFIG(.n_held = 1, .hold_us = 1000));

	for (uint64_t way = 0; way < 4; way++) {
		n_tokens = 0;
		receive(&fake, "a", 11);
		cr_assert_eq(results[0], 0);
		await_deadline(&fake);
		cr_assert_eq(fake_server_stats(&fake).held_expired, way);
		if (way == 0)
			cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), -ESTALE);
		else if (way == 1)
			cr_assert_eq(volley_held_release(fake.server, tokens[0]), -ESTALE);
		else if (way == 2)
			cr_assert_eq(volley_held_get_payload(fake.server, tokens[0], NULL, 0),
				     -ESTALE);
		else
			receive(&fake, "b", 22); /* it takes the only place */
		cr_assert_eq(fake_server_stats(&fake).held_expired, way + 1);
	}
	cr_assert_eq(results[1], 0);
	cr_assert_eq(fake_server_stats(&fake).held_refused, 0);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 0);
	vly_held_expire(fake.worker, UINT64_MAX);
	cr_assert_eq(fake_server_stats(&fake).held_expired, 5);
	fake_server_close(&fake);
}

Test(held, any_of_three_can_end_first)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct fake_server fake = open_holding(NULL);

	for (int k = 0; k < 6; k++) {
		n_tokens = 0;
		for (uint16_t i = 0; i < 3; i++)
			receive(&fake, "abc", (uint16_t)(11 + i));
		for (int i = 0; i < 3; i++) {
			int first = orders[k][i] == 0 ? 1 : 0;

			cr_assert_eq(volley_held_release(fake.server, tokens[orders[k][i]]), 0);
			/* The list leads to every other one still. */
			cr_assert_eq(vly_held_get_deadline(fake.worker) == 0, i == 2, "%d", first);
		}
	}
	cr_assert_eq(fake_server_stats(&fake).held_released, 18);
	fake_server_close(&fake);
}

Test(held, a_reply_may_be_longer_than_the_packet_was)
{
	static uint8_t big[65527];
	struct fake_server fake = open_holding(NULL);

	memset(big, 7, sizeof big);
	receive(&fake, "a", 11);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], big, sizeof big + 1), -EMSGSIZE);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], big, sizeof big), 0);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_sent(fake.io, 0)->len, sizeof big);
	cr_assert_arr_eq(fake_io_sent(fake.io, 0)->data, big, sizeof big);
	cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, 0)->peer), 11);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_EMSGSIZE], 1);
	fake_server_close(&fake);
}

/* The 16 largest buffers can all be on their way. */
Test(held, without_room_the_token_stays_good)
{
	static uint8_t big[60000];
	struct fake_server fake = open_holding(NULL);

	for (uint16_t i = 0; i < 16; i++)
		receive(&fake, "a", (uint16_t)(11 + i));
	n_tokens = 15;
	receive(&fake, "a", 99);
	for (int i = 0; i < 15; i++)
		cr_assert_eq(volley_held_reply(fake.server, tokens[i], big, sizeof big), 0);
	receive(&fake, "a", 98);
	cr_assert_eq(volley_held_reply(fake.server, tokens[15], big, sizeof big), 0);
	n_tokens = 0;
	receive(&fake, "a", 97);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], big, sizeof big), -ENOBUFS);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_NO_BUFFER], 1);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], big, sizeof big), 0);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 17);
	/* The two that lost their tokens above. */
	vly_held_expire(fake.worker, UINT64_MAX);
	fake_server_close(&fake);
}

Test(held, nobody_replies_port_0)
{
	struct fake_server fake = open_holding(NULL);

	receive(&fake, "a", 0);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), -EINVAL);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), -ESTALE);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 0);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_REFUSED], 1);
	cr_assert_eq(fake_server_stats(&fake).held_replied, 1);
	fake_server_close(&fake);
}

/* From its own address it would go to nobody, or come back: these options, not the token. */
Test(held, nobody_replies_to_an_address_from_itself)
{
	struct fake_server fake = open_holding(NULL);
	struct volley_addr own = listener_addr(fake.server, 0);
	const struct volley_addr *peer = fake_peer(volley_addr_get_port(&own));

	receive(&fake, "a", volley_addr_get_port(peer));
	cr_assert_eq(
		volley_held_reply_with(fake.server, tokens[0], "x", 1, VOLLEY_SEND(.local = peer)),
		-EINVAL);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_REFUSED], 1);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), 0);
	vly_chores_take_mail(fake.worker);
	fake_server_close(&fake);
}

Test(held, the_reply_leaves_from_where_the_packet_was_sent_to)
{
	struct vly_cmsg_info info = { .reply_ifindex = 3, .found = VLY_CMSG_LOCAL };
	struct fake_server fake;

	n_tokens = 0;
	info.local = *fake_peer(0);
	fake_server_open(&fake, NULL, "0.0.0.0:0", VOLLEY_LISTEN(.on_batch = hold));
	fake_io_recv(fake.io, &(struct fake_datagram){ .len = 4, .info = &info });
	fake_server_run(&fake);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "x", 1), 0);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_io_sent(fake.io, 0)->local.in.sin_addr.s_addr,
		     info.local.in.sin_addr.s_addr);
	cr_assert_eq(fake_io_sent(fake.io, 0)->ifindex, 3);
	fake_server_close(&fake);
}

Test(held, a_full_socket_makes_held_replies_wait_too)
{
	struct fake_server fake = open_holding(NULL);

	receive(&fake, "a", 11);
	fake_io_send_result(fake.io, -EAGAIN);
	cr_assert_eq(volley_held_reply(fake.server, tokens[0], "later", 5), 0);
	vly_chores_take_mail(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_queued, 1);
	vly_chores_run_timers(fake.worker);
	cr_assert_eq(fake_io_n_sent(fake.io), 1);
	cr_assert_arr_eq(fake_io_sent(fake.io, 0)->data, "later", 5);
	fake_server_close(&fake);
}

/* With threads --------------------------------------------------------------------------------- */

Test(held, a_stop_makes_tokens_void_and_a_start_does_not_revive_them, .timeout = 60)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_addr to;
	int fd = loopback_open(ADDRESS, NULL);
	struct volley_server *server = peer_server(VOLLEY_CONFIG(.n_workers = 1), hold, NULL, &to);

	n_tokens = 0;
	cr_assert_eq(volley_server_start(server), 0);
	loopback_send(fd, &to, 1, 8);
	do
		volley_server_get_stats(server, &stats);
	while (stats.held_now == 0);
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(volley_held_reply(server, tokens[0], "x", 1), -ESTALE);
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_held_reply(server, tokens[0], "x", 1), -ESTALE);
	volley_server_get_stats(server, &stats);
	cr_assert_eq(stats.held_abandoned, 1);
	cr_assert_eq(stats.held_now, 0);
	cr_assert_null(ledger_find_server_fault(server));
	cr_assert_eq(volley_server_free(server), 0);
}

Test(held, time_ends_holding_while_the_worker_sleeps, .timeout = 60)
{
	for (size_t way = 0; way < PEER_N_WAYS; way++) {
		struct volley_stats stats = { .size = sizeof stats };
		struct volley_addr to;
		int fd = loopback_open(ADDRESS, NULL);
		struct volley_server *server = peer_server(
			VOLLEY_CONFIG(.n_workers = 1, .hold_us = 20000, .wait = peer_ways[way].wait,
				      .io = peer_ways[way].io),
			hold, NULL, &to);

		n_tokens = 0;
		cr_assert_eq(volley_server_start(server), 0);
		loopback_send(fd, &to, 1, 8);
		do
			volley_server_get_stats(server, &stats);
		while (stats.held_expired == 0);
		cr_assert_eq(volley_held_release(server, tokens[0]), -ESTALE);
		cr_assert_eq(volley_server_free(server), 0);
	}
}
