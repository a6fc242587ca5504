/* SPDX-License-Identifier: MIT */

/*
 * What other threads want of a worker, step by step: each request is in exactly one of the ledger's
 * places at every one of them.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fake_io.h"
#include "lib/ledger.h"
#include "lib/peer.h"
#include "path/listener.h"
#include "path/pipeline.h"
#include "path/remote.h"
#include "server/listeners.h"
#include "worker/change.h"
#include "worker/chores.h"

#define ADDRESS "127.0.0.1:0"

enum { N_BACKLOG = 4 };

static struct fake_server open_server(void)
{
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.n_backlog = N_BACKLOG), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = peer_echo));
	vly_remote_open(fake.worker);
	return fake;
}

static int send_news(struct fake_server *fake, uint16_t port, uint32_t sock_serial)
{
	struct vly_route route = { .peer = *fake_peer(port), .sock_serial = sock_serial };

	return vly_remote_send(fake->worker, &route, "news", 4);
}

/* Whether there was a buffer. */
static bool post(struct fake_server *fake, uint16_t port, uint32_t sock_serial)
{
	int r = send_news(fake, port, sock_serial);

	cr_assert(r == 0 || r == -ENOBUFS, "%d", r);
	return r == 0;
}

static uint32_t get_serial(const struct fake_server *fake)
{
	return vly_socks_get(&fake->worker->socks, 0)->serial;
}

static void expect(struct fake_server *fake, uint64_t requested, uint64_t queued, uint64_t sent)
{
	struct volley_stats stats = fake_server_stats(fake);

	cr_assert_eq(stats.tx_requested, requested, "%ju", (uintmax_t)stats.tx_requested);
	cr_assert_eq(stats.tx_queued, queued, "%ju", (uintmax_t)stats.tx_queued);
	cr_assert_eq(stats.tx_sent, sent, "%ju", (uintmax_t)stats.tx_sent);
}

Test(remote, it_opens_and_closes)
{
	struct fake_server fake = open_server();

	cr_assert_eq(send_news(&fake, 11, get_serial(&fake)), 0);
	vly_chores_take_mail(fake.worker);
	vly_remote_close(fake.worker);
	cr_assert_eq(send_news(&fake, 11, get_serial(&fake)), -ESHUTDOWN);
	expect(&fake, 1, 0, 1); /* and that one is in no count */
	fake_server_close(&fake);
}

Test(remote, what_is_on_its_way_is_requested_and_queued)
{
	struct fake_server fake = open_server();

	cr_assert(post(&fake, 11, get_serial(&fake)));
	cr_assert(post(&fake, 22, get_serial(&fake)));
	expect(&fake, 2, 2, 0);
	vly_chores_take_mail(fake.worker);
	expect(&fake, 2, 0, 2);
	cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, 0)->peer), 11, "in order");
	cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, 1)->peer), 22);
	cr_assert_arr_eq(fake_io_sent(fake.io, 0)->data, "news", 4);
	fake_server_close(&fake);
}

/* So many under way, and as many again when those were sent. */
Test(remote, there_is_room_for_the_backlog_and_it_comes_back)
{
	struct fake_server fake = open_server();

	for (uint64_t round = 1; round <= 3; round++) {
		for (int i = 0; i < N_BACKLOG; i++)
			cr_assert(post(&fake, 11, get_serial(&fake)), "%d", i);
		cr_assert_not(post(&fake, 11, get_serial(&fake)));
		expect(&fake, round * (N_BACKLOG + 1), N_BACKLOG, (round - 1) * N_BACKLOG);
		vly_chores_take_mail(fake.worker);
		cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_NO_BUFFER], round);
	}
	fake_server_close(&fake);
}

Test(remote, a_socket_that_is_gone_sends_nothing)
{
	struct fake_server fake = open_server();

	cr_assert_eq(send_news(&fake, 11, get_serial(&fake) + 1), -ESTALE);
	expect(&fake, 0, 0, 0);
	fake_server_close(&fake);
}

/* A number of an object in the JSON, by the object's name. */
static uint64_t get_number(struct fake_server *fake, const char *object, const char *name)
{
	static char json[65536];
	const char *at;

	cr_assert_lt(volley_server_format_stats(fake->server, json, sizeof json), (int)sizeof json);
	at = strstr(json, object);
	cr_assert_not_null(at);
	at = strstr(at, name);
	cr_assert_not_null(at);
	return strtoull(at + strlen(name), NULL, 10);
}

static void expect_in_json(struct fake_server *fake, const char *object, uint64_t requested,
			   uint64_t stopped)
{
	cr_assert_eq(get_number(fake, object, "\"tx_requested\": "), requested);
	cr_assert_eq(get_number(fake, object, "\"tx_queued\": "), 0);
	cr_assert_eq(get_number(fake, object, "\"timeout\": 0, \"stopped\": "), stopped);
	cr_assert_eq(get_number(fake, object, "\"tx_foreign\": "), requested);
}

/* As in the middle of a listener's close: the listener is there, and its socket is not. */
Test(remote, what_is_on_its_way_to_a_socket_that_goes_is_dropped_with_it)
{
	struct fake_server fake = open_server();
	uint32_t serial = get_serial(&fake);

	cr_assert(post(&fake, 11, serial));
	vly_chores_take_mail(fake.worker); /* one has arrived */
	for (int i = 0; i < N_BACKLOG; i++)
		cr_assert(post(&fake, 11, serial));
	cr_assert_eq(vly_change_finish(fake.worker, vly_listeners_get(fake.server, 0)), 0);
	for (int look = 0; look < 2; look++) {
		expect(&fake, N_BACKLOG + 1, 0, 1);
		expect_in_json(&fake, "{", N_BACKLOG + 1, N_BACKLOG);
		expect_in_json(&fake, "\"workers\": ", N_BACKLOG + 1, N_BACKLOG);
		expect_in_json(&fake, "\"listeners\": ", N_BACKLOG + 1, N_BACKLOG);
		expect_in_json(&fake, "\"closed\": ", 0, 0);
		vly_chores_take_mail(fake.worker);
	}
	cr_assert_eq(vly_buffers_count_used(fake.worker->remote.buffers), 0, "they came back");
	fake_server_close(&fake);
}

Test(remote, a_full_socket_queues_it)
{
	struct fake_server fake = open_server();

	fake_io_send_always(fake.io, -EAGAIN);
	cr_assert(post(&fake, 11, get_serial(&fake)));
	vly_chores_take_mail(fake.worker);
	expect(&fake, 1, 1, 0);
	for (int i = 0; i < N_BACKLOG; i++)
		cr_assert(post(&fake, 11, get_serial(&fake)), "it was copied: %d", i);
	fake_io_send_always(fake.io, INT_MAX);
	vly_chores_take_mail(fake.worker);
	fake_server_close(&fake);
}
