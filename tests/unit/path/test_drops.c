/* SPDX-License-Identifier: MIT */

/* The kernel's counter of one socket, on a real one whose filter drops what the test sends. */

#include <criterion/criterion.h>
#include <unistd.h>

#include "lib/loopback.h"
#include "path/drops.h"
#include "sys/socket.h"

static int fd, client;
static struct volley_addr addr;

static void open_sockets(void)
{
	fd = loopback_open("127.0.0.1:0", &addr);
	client = loopback_open("127.0.0.1:0", NULL);
}

static void close_sockets(void)
{
	close(fd);
	close(client);
}

TestSuite(drops, .init = open_sockets, .fini = close_sockets);

/* Loopback drops them before the send returns. */
static void lose(int n)
{
	cr_assert_eq(vly_socket_set_drop_all(fd, true), 0);
	for (int i = 0; i < n; i++)
		loopback_send(client, &addr, 1, 8);
	cr_assert_eq(vly_socket_set_drop_all(fd, false), 0);
}

Test(drops, what_is_dropped_is_counted_once)
{
	struct vly_drops drops;

	vly_drops_begin(&drops, fd, false);
	cr_assert_eq(vly_drops_read(&drops, fd), 0);
	cr_assert_eq(vly_drops_get_total(&drops), 0);
	lose(3);
	for (int i = 0; i < 3; i++) {
		vly_drops_read(&drops, fd);
		cr_assert_eq(vly_drops_get_total(&drops), 3);
		cr_assert_eq(vly_drops_get_seen(&drops), 3);
	}
	lose(2);
	vly_drops_read(&drops, fd);
	cr_assert_eq(vly_drops_get_total(&drops), 5);
}

Test(drops, what_was_dropped_before_is_ours_only_if_the_socket_is)
{
	struct vly_drops drops;

	lose(3);
	vly_drops_begin(&drops, fd, false);
	vly_drops_read(&drops, fd);
	cr_assert_eq(vly_drops_get_total(&drops), 3);
	vly_drops_begin(&drops, fd, true);
	lose(2);
	vly_drops_read(&drops, fd);
	cr_assert_eq(vly_drops_get_total(&drops), 2, "another had it before");
	cr_assert_eq(vly_drops_get_seen(&drops), 5);
	vly_drops_forget(&drops, 4);
	cr_assert_eq(vly_drops_get_total(&drops), 1, "counted from where it became ours");
}

Test(drops, unread_bytes_are_those_of_unread_messages)
{
	struct vly_drops drops;
	uint8_t buf[16];

	vly_drops_begin(&drops, fd, false);
	loopback_send(client, &addr, 1, 9);
	cr_assert_gt(vly_drops_read(&drops, fd), 9, "with the kernel's own");
	cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 9);
	cr_assert_eq(vly_drops_read(&drops, fd), 0);
	cr_assert_eq(vly_drops_get_total(&drops), 0);
}

/* As if all but three of 2^32 had been seen. */
Test(drops, the_total_goes_on_where_the_kernels_counter_wraps)
{
	struct vly_drops drops;

	vly_drops_begin(&drops, fd, false);
	drops.total = drops.seen = UINT32_MAX - 2;
	lose(1);
	vly_drops_read(&drops, fd);
	cr_assert_eq(vly_drops_get_total(&drops), (UINT64_C(1) << 32) + 1);
}

Test(drops, somebody_elses_are_taken_back_over_the_wrap_too)
{
	struct vly_drops drops = { .total = 10, .seen = 4, .first = UINT32_MAX - 5 };

	vly_drops_forget(&drops, UINT32_MAX - 1);
	cr_assert_eq(vly_drops_get_total(&drops), 6);
	vly_drops_forget(&drops, UINT32_MAX - 5);
	cr_assert_eq(vly_drops_get_total(&drops), 6, "none came after the first");
	drops = (struct vly_drops){ .total = 10, .seen = 4, .first = UINT32_MAX - 5 };
	vly_drops_forget(&drops, 2);
	cr_assert_eq(vly_drops_get_total(&drops), 2);
}

Test(drops, what_is_no_socket_changes_nothing)
{
	struct vly_drops drops;

	vly_drops_begin(&drops, fd, false);
	lose(1);
	vly_drops_read(&drops, fd);
	cr_assert_eq(vly_drops_read(&drops, -1), 0);
	cr_assert_eq(vly_drops_get_total(&drops), 1);
}
