/* SPDX-License-Identifier: MIT */

/*
 * Sends that reply to nothing: a worker's own, in a volley and outside of one, and those of other
 * threads.
 */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

#include <volley/send.h>

#include "lib/fake_io.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/backlog.h"
#include "path/pipeline.h"
#include "path/remote.h"
#include "path/route.h"
#include "path/send.h"
#include "sys/clock.h"

#define ADDRESS "127.0.0.1:0"

static int result;

static void send_from_callback(struct volley_worker *worker, struct volley_packet *packets,
			       size_t n, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < n; i++) {
		result = vly_send_add(worker, packets[i].listener, fake_peer(500), "news", 4, NULL);
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	}
}

Test(send, a_worker_sends_with_its_volley)
{
	struct fake_server fake;

	fake_server_open(&fake, NULL, ADDRESS, VOLLEY_LISTEN(.on_batch = send_from_callback));
	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "a", .len = 1 });
	fake_server_run(&fake);
	cr_assert_eq(result, 0);
	cr_assert_eq(fake_io_n_sent(fake.io), 2);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 1);
	cr_assert_eq(volley_addr_get_port(&fake_io_sent(fake.io, 0)->peer), 500);
	cr_assert_arr_eq(fake_io_sent(fake.io, 0)->data, "news", 4);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 2);
	fake_server_close(&fake);
}

Test(send, a_worker_sends_outside_a_volley)
{
	static uint8_t big[65528];
	struct fake_server fake;
	struct volley_addr odd;
	struct volley_addr local = *fake_peer(9);
	struct volley_listener other = { .id = 1 };

	fake_server_open(&fake, NULL, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo));
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), "x", 1,
				  VOLLEY_SEND(.local = &local)),
		     0);
	vly_pipeline_run_once(fake.worker, 1);
	cr_assert_eq(fake_io_n_sent(fake.io), 1);
	cr_assert_eq(fake_io_sent(fake.io, 0)->local.in.sin_addr.s_addr, local.in.sin_addr.s_addr);
	cr_assert_eq(fake.worker->arena.used, 0);
	/* Asked for what cannot be: nothing is counted. */
	cr_assert_eq(vly_send_add(fake.worker, other, fake_peer(5), "x", 1, NULL), -ESTALE);
	odd = loopback_addr("[::1]:5");
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, &odd, "x", 1, NULL), -EINVAL);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), "x", 1,
				  VOLLEY_SEND(.local = &odd)),
		     -EINVAL);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 1);
	/* Refused by name. */
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(0), "x", 1, NULL), -EINVAL);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake.addr, "x", 1, NULL), -EINVAL);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), big, 65528, NULL),
		     -EMSGSIZE);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_REFUSED], 2);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_EMSGSIZE], 1);
	fake_server_close(&fake);
}

/* A sender that would rather wait is told, in every way, and counted in none. */
Test(send, if_room_says_when_others_stand_in_line)
{
	const struct volley_send_options *if_room = VOLLEY_SEND(.flags = VOLLEY_SEND_IF_ROOM);
	struct fake_server fake;
	struct vly_route route;

	fake_server_open(&fake, NULL, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo));
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), "1", 1, if_room), 0);
	fake_io_send_result(fake.io, -EAGAIN);
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(6), "2", 1, if_room),
		     -EAGAIN);
	cr_assert_eq(vly_route_find_all(fake.worker, fake.listener, fake_peer(6), if_room, &route),
		     0);
	vly_remote_open(fake.worker);
	cr_assert_eq(vly_remote_send(fake.worker, &route, "2", 1), -EAGAIN);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(6), "3", 1, NULL), 0);
	vly_backlog_flush(fake.worker, vly_clock_get_ns());
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(6), "4", 1, if_room), 0);
	vly_pipeline_flush(fake.worker);
	vly_pipeline_publish(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_requested, 3);
	fake_server_close(&fake);
}

Test(send, the_arena_is_the_limit_of_a_worker)
{
	static uint8_t big[40000];
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.arena_bytes = 65536), ADDRESS,
			 VOLLEY_LISTEN(.on_batch = peer_echo));
	/* As in a callback that was given all of it: no flush helps. */
	fake.worker->arena.kept_to = fake.worker->arena.n_bytes;
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), big, sizeof big, NULL),
		     0);
	cr_assert_eq(vly_send_add(fake.worker, fake.listener, fake_peer(5), big, sizeof big, NULL),
		     -ENOBUFS);
	fake.worker->arena.kept_to = 0;
	vly_pipeline_flush(fake.worker);
	cr_assert_eq(fake_server_stats(&fake).tx_dropped[VOLLEY_TX_NO_BUFFER], 1);
	fake_server_close(&fake);
}

/* Beyond what a first reply left of it: no good use of a room, but no other bytes than these. */
static void send_out_of_a_room(struct volley_worker *worker, struct volley_packet *packets,
			       size_t n, void *arg)
{
	uint8_t *room = volley_packet_reply_buffer(&packets[0], 1000, NULL);

	(void)n, (void)arg;
	cr_assert_not_null(room);
	for (int i = 0; i < 1000; i++)
		room[i] = (uint8_t)i;
	volley_packet_reply(&packets[0], room, 10);
	result = vly_send_add(worker, packets[0].listener, fake_peer(500), room, 1000, NULL);
}

Test(send, a_room_may_overlap_the_copy_of_it)
{
	struct fake_server fake;

	fake_server_open(&fake, NULL, ADDRESS, VOLLEY_LISTEN(.on_batch = send_out_of_a_room));
	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "a", .len = 1 });
	fake_server_run(&fake);
	cr_assert_eq(result, 0);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(((const uint8_t *)fake_io_sent(fake.io, 1)->data)[i], (uint8_t)i);
	fake_server_close(&fake);
}

Test(send, other_threads_send_from_an_ipv6_socket_to_ipv4_too, .timeout = 60)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *server;
	struct volley_addr to, odd = loopback_addr("[::1]:0"), own;
	int fd = loopback_open(ADDRESS, &to);
	int fd6 = loopback_open("[::1]:0", &odd);
	uint8_t buf[64];

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 2), &server), 0);
	cr_assert_eq(
		volley_server_listen(server, "[::]:0", VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		0);
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, "x", 1, NULL),
		     -ESHUTDOWN);
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, "\x07", 1, NULL), 0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1);
	cr_assert_eq(buf[0], 7);
	own = loopback_addr("127.0.0.9:0");
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, "\x08", 1,
					VOLLEY_SEND(.local = &own)),
		     0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, &own), 1);
	cr_assert_eq(own.in.sin_addr.s_addr, htonl(0x7f000009));
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &odd, NULL, 0, NULL), 0);
	cr_assert_eq(loopback_recv(fd6, buf, sizeof buf, NULL), 0);
	cr_assert_eq(volley_server_send(server, listener_at(server, 1), &to, "x", 1, NULL),
		     -ESTALE);
	odd.in6.sin6_port = 0;
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &odd, "x", 1, NULL),
		     -EINVAL);
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, buf, 65528, NULL),
		     -EMSGSIZE);
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, "x", 1, NULL),
		     -ESHUTDOWN);
	volley_server_get_stats(server, &stats);
	cr_assert_eq(stats.tx_sent, 3);
	cr_assert_eq(stats.tx_foreign, 3);
	cr_assert_eq(stats.tx_requested, 5);
	cr_assert_null(ledger_find_server_fault(server));
	cr_assert_eq(volley_server_free(server), 0);
}

/* A worker that does not look: what waits for it has a limit. */
static void wait_long(struct volley_worker *worker, void *arg)
{
	volatile _Atomic int *go = arg;

	(void)worker;
	while (!atomic_load(go))
		;
}

Test(send, what_other_threads_may_pile_up_is_bounded, .timeout = 60)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *server;
	struct volley_addr to;
	_Atomic int go = 0;
	int fd = loopback_open(ADDRESS, &to);
	uint8_t buf[8];

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_backlog = 10), &server), 0);
	cr_assert_eq(
		volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		0);
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_server_post(server, wait_long, &go), 0);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, "x", 1, NULL),
			     0);
	cr_assert_eq(volley_server_send(server, listener_at(server, 0), &to, "x", 1, NULL),
		     -ENOBUFS);
	volley_server_get_stats(server, &stats);
	cr_assert_eq(stats.tx_queued, 10);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_NO_BUFFER], 1);
	cr_assert_null(ledger_find_server_fault(server));
	atomic_store(&go, 1);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1);
	/* What was accepted before a stop leaves. (Room comes back after a datagram has left.) */
	while (volley_server_send(server, listener_at(server, 0), &to, "x", 1, NULL) == -ENOBUFS)
		continue;
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1);
	cr_assert_eq(volley_server_free(server), 0);
}

static struct volley_worker *started;

static int note_worker(struct volley_worker *worker, void *arg)
{
	(void)arg;
	started = worker;
	return 0;
}

/* Whoever has a worker may send by it: what is not its own thread hands it over. */
Test(send, a_thread_that_is_not_the_worker_hands_it_over, .timeout = 60)
{
	struct volley_server *server;
	struct volley_addr to;
	struct volley_stats stats = { .size = sizeof stats };
	int fd = loopback_open(ADDRESS, &to);
	uint8_t buf[8];

	cr_assert_eq(
		volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .on_start = note_worker), &server),
		0);
	cr_assert_eq(
		volley_server_listen(server, ADDRESS, VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		0);
	cr_assert_eq(volley_server_start(server), 0);
	for (uint8_t i = 0; i < 50; i++) {
		cr_assert_eq(volley_worker_send(started,
						listener_at(volley_worker_get_server(started), 0),
						&to, &i, 1, NULL),
			     0);
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 1);
		cr_assert_eq(buf[0], i);
	}
	cr_assert_eq(volley_worker_send(started, listener_at(volley_worker_get_server(started), 1),
					&to, "x", 1, NULL),
		     -ESTALE);
	cr_assert_eq(volley_server_stop(server), 0);
	cr_assert_eq(volley_worker_send(started, listener_at(volley_worker_get_server(started), 0),
					&to, "x", 1, NULL),
		     -ESHUTDOWN);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.tx_foreign, 50);
	cr_assert_null(ledger_find_server_fault(server));
	cr_assert_eq(volley_server_free(server), 0);
	close(fd);
}
