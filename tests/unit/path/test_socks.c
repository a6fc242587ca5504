/* SPDX-License-Identifier: MIT */

/*
 * The table of a worker's sockets and its lists. Most of it needs no sockets: a descriptor is only
 * a number here.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "path/listener.h"
#include "path/socks.h"
#include "sys/socket.h"

enum { N_LISTENERS = 100, FIRST_FD = 1000 };

static struct vly_socks socks;
static struct vly_listener listeners[N_LISTENERS];

static void open_socks(void)
{
	for (uint32_t i = 0; i < N_LISTENERS; i++)
		listeners[i].index = i;
	vly_socks_init(&socks, NULL);
}

static void close_socks(void)
{
	vly_socks_fini(&socks);
}

TestSuite(socks, .init = open_socks, .fini = close_socks, .timeout = 60);

/* One more socket of a listener, with a descriptor that says its index. */
static struct vly_sock *add(uint32_t listener_index, uint32_t expected_index)
{
	struct vly_sock *sock = vly_socks_add(&socks, &listeners[listener_index],
					      FIRST_FD + (int)expected_index);

	cr_assert_not_null(sock);
	cr_assert_eq(sock->index, expected_index);
	return sock;
}

static uint32_t count(void)
{
	uint32_t n = 0;

	for (struct vly_sock *sock = vly_socks_get_after(&socks, UINT32_MAX); sock != NULL;
	     sock = vly_socks_get_after(&socks, sock->index))
		n++;
	return n;
}

Test(socks, the_first_of_a_listener_knows_that_it_is)
{
	int fds[] = { FIRST_FD + 1, FIRST_FD };

	listeners[0].fds = fds;
	listeners[0].n_fds = 2;
	cr_assert(!add(0, 0)->is_first);
	cr_assert(add(0, 1)->is_first);
	listeners[0].fds = NULL;
	listeners[0].n_fds = 0;
}

/* The list of the ready names exactly these, in this order. */
static void expect_ready(struct vly_sock *const *expected, uint32_t n)
{
	struct vly_sock *sock;
	uint32_t i = 0;

	TAILQ_FOREACH(sock, &socks.ready, ready_link)
	{
		cr_assert_lt(i, n, "more than %u are ready", n);
		cr_assert_eq(sock, expected[i++]);
	}
	cr_assert_eq(i, n);
}

/* The table ------------------------------------------------------------------------------------ */

/* Past the first room, past what a word of bits could name, and far past both. */
Test(socks, the_table_grows_and_every_socket_keeps_its_place)
{
	static const uint32_t sizes[] = { 5, 65, 201 };
	struct vly_sock *all[201];
	uint32_t n = 0;

	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
		for (; n < sizes[k]; n++)
			all[n] = add(n % N_LISTENERS, n);
		for (uint32_t i = 0; i < n; i++) {
			cr_assert_eq(vly_socks_get(&socks, i), all[i]);
			cr_assert_eq(vly_socks_find(&socks, i, all[i]->serial), all[i]);
			cr_assert_eq(vly_socks_find_fd(&socks, i % N_LISTENERS, FIRST_FD + (int)i),
				     all[i]);
		}
		cr_assert_null(vly_socks_get(&socks, n));
		cr_assert_null(vly_socks_get(&socks, UINT32_MAX));
		cr_assert_null(vly_socks_find_fd(&socks, 0, FIRST_FD + (int)n));
		cr_assert_eq(count(), n);
	}
}

Test(socks, an_index_is_used_again_and_a_serial_never)
{
	struct vly_sock *third;
	uint32_t old_serial;

	for (uint32_t i = 0; i < 5; i++)
		add(0, i);
	old_serial = vly_socks_get(&socks, 2)->serial;
	vly_socks_remove(vly_socks_get(&socks, 4));
	vly_socks_remove(vly_socks_get(&socks, 2));
	cr_assert_null(vly_socks_get(&socks, 2));
	cr_assert_eq(count(), 3);
	third = add(7, 2);
	cr_assert_null(vly_socks_find(&socks, 2, old_serial), "that one is gone");
	cr_assert_eq(vly_socks_find(&socks, 2, third->serial), third);
	add(7, 4);
	for (uint32_t i = 0; i < 5; i++)
		for (uint32_t k = 0; k < i; k++)
			cr_assert_neq(vly_socks_get(&socks, i)->serial,
				      vly_socks_get(&socks, k)->serial);
}

Test(socks, a_listener_leads_to_its_own_sockets)
{
	struct vly_sock *all[9];

	cr_assert_null(vly_socks_get_first(&socks, 0));
	for (uint32_t i = 0; i < 9; i++)
		all[i] = add(i % 3 == 0 ? 99 : i % 3, i);
	cr_assert_eq(vly_socks_get_first(&socks, 99), all[0]);
	cr_assert_eq(vly_socks_get_next(all[0]), all[3]);
	cr_assert_eq(vly_socks_get_next(all[3]), all[6]);
	cr_assert_null(vly_socks_get_next(all[6]));
	cr_assert_eq(vly_socks_get_first(&socks, 2), all[2]);
	cr_assert_null(vly_socks_get_first(&socks, 50));
	cr_assert_null(vly_socks_get_first(&socks, UINT32_MAX));
	vly_socks_remove(all[0]);
	cr_assert_eq(vly_socks_get_first(&socks, 99), all[3]);
	vly_socks_remove(all[6]);
	cr_assert_null(vly_socks_get_next(all[3]));
	vly_socks_remove(all[3]);
	cr_assert_null(vly_socks_get_first(&socks, 99));
}

Test(socks, a_socket_starts_with_what_its_listener_says)
{
	struct vly_sock *sock;

	listeners[0].limits.n_segments = 64;
	sock = add(0, 0);
	cr_assert(sock->reads);
	cr_assert_not(sock->is_shared);
	cr_assert_not(sock->is_ready);
	cr_assert_eq(sock->limits.now.n_segments, 64);
	cr_assert_eq(sock->watch.fd, -1);
	listeners[0].others = true;
	cr_assert(add(0, 1)->is_shared);
}

Test(socks, without_memory_nothing_is_added)
{
	for (uint32_t i = 0; i < 4; i++)
		add(0, i);
	for (unsigned int nth = 1; nth <= 3; nth++) { /* both tables, the socket */
		fault_arm(FAULT_ALIGNED_ALLOC, nth, ENOMEM);
		cr_assert_null(vly_socks_add(&socks, &listeners[50], 7));
		cr_assert_eq(fault_disarm(), 1);
		cr_assert_eq(count(), 4);
		cr_assert_null(vly_socks_get_first(&socks, 50));
		socks.n_room = 4; /* so that the next round is as the first */
		socks.n_of_listener = 4;
	}
	add(50, 4);
	cr_assert_eq(count(), 5);
}

/* Ready ---------------------------------------------------------------------------------------- */

Test(socks, the_ready_stand_in_the_list_until_a_pass_settles_them)
{
	struct vly_sock *a = add(0, 0), *b = add(1, 1), *c = add(2, 2);

	cr_assert_not(vly_socks_has_ready(&socks));
	vly_socks_set_ready(c, true);
	vly_socks_set_ready(a, true);
	vly_socks_set_ready(a, true);
	vly_socks_set_ready(b, false);
	cr_assert(vly_socks_has_ready(&socks));
	expect_ready((struct vly_sock *[]){ c, a }, 2);
	/* Served to its end: it stays until the next pass, and then in its place again or not. */
	vly_socks_set_ready(c, false);
	expect_ready((struct vly_sock *[]){ c, a }, 2);
	cr_assert(vly_socks_settle(a));
	vly_socks_set_ready(a, false);
	cr_assert_not(vly_socks_has_ready(&socks), "nobody is, though the list names two");
	cr_assert_not(vly_socks_settle(c));
	expect_ready((struct vly_sock *[]){ a }, 1);
	vly_socks_set_ready(c, true);
	expect_ready((struct vly_sock *[]){ a, c }, 2);
}

/* What a pass meets: the next one is found although one in the middle went. */
Test(socks, one_in_the_middle_may_go)
{
	struct vly_sock *all[5], *sock, *next;
	uint32_t n_seen = 0;

	for (uint32_t i = 0; i < 5; i++) {
		all[i] = add(i, i);
		vly_socks_set_ready(all[i], true);
	}
	vly_socks_set_ready(all[3], false); /* in the list all the same */
	for (sock = TAILQ_FIRST(&socks.ready); sock != NULL; sock = next) {
		if (sock == all[1]) {
			vly_socks_remove(all[2]);
			vly_socks_remove(all[3]);
		}
		next = TAILQ_NEXT(sock, ready_link);
		n_seen++;
	}
	cr_assert_eq(n_seen, 3);
	expect_ready((struct vly_sock *[]){ all[0], all[1], all[4] }, 3);
	vly_socks_remove(all[0]);
	vly_socks_remove(all[4]);
	cr_assert(vly_socks_has_ready(&socks));
	vly_socks_remove(all[1]);
	cr_assert_not(vly_socks_has_ready(&socks));
	expect_ready(NULL, 0);
}

Test(socks, loops_that_do_not_ask_make_all_ready_that_are_read)
{
	struct vly_sock *a = add(0, 0), *b = add(1, 1), *c = add(2, 2);

	b->reads = false;
	vly_socks_set_all_ready(&socks);
	expect_ready((struct vly_sock *[]){ a, c }, 2);
	vly_socks_set_ready(a, false);
	vly_socks_settle(a);
	vly_socks_set_ready(c, false);
	vly_socks_keep_ready(&socks); /* those of the last pass, and no others */
	expect_ready((struct vly_sock *[]){ c }, 1);
	cr_assert(c->is_ready);
	cr_assert_not(a->is_ready);
	c->reads = false;
	vly_socks_keep_ready(&socks);
	cr_assert_not(vly_socks_has_ready(&socks));
}

/* Backlogged ----------------------------------------------------------------------------------- */

static void queue_one(struct vly_buffers *pool, struct vly_sock *sock)
{
	struct volley_addr peer = loopback_addr("192.0.2.1:7");
	struct vly_tx tx = { .data = (const uint8_t *)"x", .len = 1, .peer = &peer };

	cr_assert(vly_queue_push(&sock->backlog, pool, &tx, -EAGAIN, 0));
	vly_socks_set_backlogged(sock);
}

static void unqueue_one(struct vly_buffers *pool, struct vly_sock *sock)
{
	vly_queue_pop(&sock->backlog, pool);
	vly_socks_set_backlogged(sock);
}

Test(socks, those_with_waiting_replies_have_a_list_of_their_own)
{
	struct vly_buffers *pool = vly_buffers_new(NULL, (uint32_t[]){ 8, 0, 0 });
	struct vly_sock *a = add(0, 0), *b = add(1, 1), *c = add(2, 2);

	cr_assert(TAILQ_EMPTY(&socks.backlogged));
	queue_one(pool, b);
	queue_one(pool, c);
	queue_one(pool, a);
	queue_one(pool, b);
	cr_assert_eq(TAILQ_FIRST(&socks.backlogged), b);
	cr_assert_eq(vly_socks_get_next_backlogged(b), c);
	cr_assert_eq(vly_socks_get_next_backlogged(c), a);
	cr_assert_null(vly_socks_get_next_backlogged(a));
	unqueue_one(pool, c);
	cr_assert_eq(vly_socks_get_next_backlogged(b), a, "the one in the middle has none left");
	unqueue_one(pool, b);
	cr_assert_eq(TAILQ_FIRST(&socks.backlogged), b, "one is left");
	unqueue_one(pool, b);
	unqueue_one(pool, a);
	cr_assert(TAILQ_EMPTY(&socks.backlogged));
	vly_buffers_free(pool);
}

#ifndef NDEBUG
Test(socks, one_with_waiting_replies_may_not_go, .signal = SIGABRT)
{
	struct vly_buffers *pool = vly_buffers_new(NULL, (uint32_t[]){ 8, 0, 0 });
	struct vly_sock *sock = add(0, 0);

	queue_one(pool, sock);
	vly_socks_remove(sock);
}

Test(socks, one_whose_packets_handlers_have_may_not_go, .signal = SIGABRT)
{
	struct vly_sock *sock = add(0, 0);

	sock->n_handled = 1;
	vly_socks_remove(sock);
}
#endif

/* The kernel's drops --------------------------------------------------------------------------- */

Test(socks, the_drops_of_those_that_went_stay_in_the_books)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_addr addr[2];
	int fds[2] = { loopback_open("127.0.0.1:0", &addr[0]),
		       loopback_open("127.0.0.1:0", &addr[1]) };
	int client = loopback_open("127.0.0.1:0", NULL);
	struct vly_sock *pair[2];

	for (int i = 0; i < 2; i++) {
		pair[i] = vly_socks_add(&socks, &listeners[i], fds[i]);
		cr_assert_eq(vly_socket_set_drop_all(fds[i], true), 0);
		loopback_send(client, &addr[i], 1, 8);
	}
	loopback_send(client, &addr[0], 1, 8);
	cr_assert_eq(vly_socket_set_drop_all(fds[1], false), 0);
	loopback_send(client, &addr[1], 1, 8);
	vly_socks_add_stats(pair[0], &stats);
	cr_assert_eq(stats.kernel_drops, 2);
	vly_socks_add_stats(pair[1], &stats);
	vly_socks_add_gone(&socks, &stats);
	cr_assert_eq(stats.kernel_drops, 3);
	cr_assert_gt(stats.unread_bytes, 8);
	vly_socks_remove(pair[0]);
	close(fds[0]);
	stats = (struct volley_stats){ .size = sizeof stats, .kernel_drops = 100 };
	vly_socks_add_stats(pair[1], &stats);
	cr_assert_eq(stats.kernel_drops, 101);
	vly_socks_add_gone(&socks, &stats);
	cr_assert_eq(stats.kernel_drops, 103);
	close(fds[1]);
	close(client);
}
