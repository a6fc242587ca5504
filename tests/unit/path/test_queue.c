/* SPDX-License-Identifier: MIT */

/* A line of replies by itself: no socket, no worker, and a clock that the test writes down. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "lib/loopback.h"
#include "lib/teardown.h"
#include "path/queue.h"

enum { N = 4 };

static struct vly_queue queue;
static struct vly_buffers *pool;
static struct volley_addr peer;

static void open_pool(void)
{
	pool = vly_buffers_new(NULL, (uint32_t[]){ N, 0, 0 });
	cr_assert_not_null(pool);
	peer = loopback_addr("192.0.2.1:7");
}

static void close_pool(void)
{
	TEARDOWN_CHECK(vly_buffers_count_used(pool) == queue.n);
	vly_buffers_free(pool);
}

TestSuite(queue, .init = open_pool, .fini = close_pool);

static bool push(const char *text, int error, uint64_t now_ns)
{
	struct vly_tx tx = { .data = (const uint8_t *)text,
			     .len = (uint32_t)strlen(text),
			     .peer = &peer,
			     .n_segments = 1 };

	return vly_queue_push(&queue, pool, &tx, error, now_ns);
}

Test(queue, replies_leave_in_the_order_in_which_they_came)
{
	struct vly_tx tx[N];

	cr_assert(vly_queue_is_empty(&queue));
	cr_assert_eq(vly_queue_fill(&queue, tx, N), 0);
	cr_assert(push("one", -EAGAIN, 0));
	cr_assert(push("two", 0, 0));
	cr_assert(push("three", 0, 0));
	cr_assert_eq(vly_queue_fill(&queue, tx, 2), 2, "no more than asked for");
	cr_assert_eq(vly_queue_fill(&queue, tx, N), 3);
	cr_assert_arr_eq(tx[0].data, "one", 3);
	cr_assert_eq(tx[2].len, 5);
	cr_assert_arr_eq(tx[2].data, "three", 5);
	vly_queue_pop(&queue, pool);
	cr_assert_eq(vly_queue_fill(&queue, tx, N), 2);
	cr_assert_arr_eq(tx[0].data, "two", 3);
	vly_queue_pop(&queue, pool);
	vly_queue_pop(&queue, pool);
	cr_assert(vly_queue_is_empty(&queue));
	cr_assert(push("again", -EAGAIN, 0), "an empty line takes the next one");
	cr_assert_eq(vly_queue_fill(&queue, tx, N), 1);
}

Test(queue, what_leaves_may_have_stood_anywhere)
{
	struct vly_tx tx[N];

	for (int i = 0; i < N; i++)
		cr_assert(push((const char *[]){ "one", "two", "three", "four" }[i], 0, 0));
	vly_queue_settle(&queue, pool, (const bool[]){ false, true, true, false }, N);
	cr_assert_eq(vly_queue_count(&queue), 2);
	cr_assert(push("five", 0, 0), "behind the last that stays");
	cr_assert_eq(vly_queue_fill(&queue, tx, N), 3);
	cr_assert_arr_eq(tx[0].data, "two", 3);
	cr_assert_arr_eq(tx[1].data, "three", 5);
	cr_assert_arr_eq(tx[2].data, "five", 4);
	vly_queue_settle(&queue, pool, (const bool[]){ false, false }, 2);
	cr_assert_eq(vly_queue_fill(&queue, tx, N), 1);
	cr_assert_arr_eq(tx[0].data, "five", 4);
	vly_queue_settle(&queue, pool, (const bool[]){ false }, 1);
	cr_assert(vly_queue_is_empty(&queue));
}

Test(queue, what_waits_is_a_copy_with_its_addresses)
{
	struct volley_addr local = loopback_addr("192.0.2.9:0");
	char text[] = "copied";
	struct vly_tx tx = { .data = (uint8_t *)text,
			     .len = 6,
			     .peer = &peer,
			     .local = &local,
			     .ifindex = 3,
			     .header = VLY_CMSG_HEADER_LOCAL | VLY_CMSG_HEADER_TOS | 5 };
	struct vly_tx out[2];

	cr_assert(vly_queue_push(&queue, pool, &tx, -EAGAIN, 0));
	tx.header = 0;
	cr_assert(vly_queue_push(&queue, pool, &tx, 0, 0));
	memset(text, 'x', 6);
	peer.in.sin_port = 0;
	local.in.sin_addr.s_addr = 0;
	cr_assert_eq(vly_queue_fill(&queue, out, 2), 2);
	cr_assert_arr_eq(out[0].data, "copied", 6);
	cr_assert_eq(volley_addr_get_port(out[0].peer), 7);
	cr_assert_eq(out[0].header, VLY_CMSG_HEADER_LOCAL | VLY_CMSG_HEADER_TOS | 5);
	cr_assert_neq(out[0].local->in.sin_addr.s_addr, 0);
	cr_assert_eq(out[0].ifindex, 3);
	cr_assert_null(out[1].local, "the socket's own");
}

Test(queue, a_pool_without_buffers_leaves_the_line_as_it_is)
{
	struct vly_tx tx[N + 1];

	for (int i = 0; i < N; i++)
		cr_assert(push("x", -EAGAIN, 0));
	cr_assert_not(push("y", -ENOBUFS, 0));
	cr_assert_eq(vly_queue_fill(&queue, tx, N + 1), N);
	cr_assert(vly_queue_has_pollout(&queue));
}

Test(queue, a_full_socket_waits_for_pollout_and_a_full_device_for_the_clock)
{
	cr_assert_not(vly_queue_has_pollout(&queue), "nothing waits");
	cr_assert(push("x", -EAGAIN, 1000));
	cr_assert(vly_queue_has_pollout(&queue));
	cr_assert(vly_queue_is_due(&queue, 0));
	vly_queue_set_retry(&queue, -ENOBUFS, 1000);
	cr_assert_not(vly_queue_has_pollout(&queue));
	cr_assert_not(vly_queue_is_due(&queue, 1000 + 499999));
	cr_assert(vly_queue_is_due(&queue, 1000 + 500000));
}

Test(queue, the_pause_doubles_up_to_8_ms_and_ends_with_the_line)
{
	static const uint32_t pauses_us[] = { 500, 1000, 2000, 4000, 8000, 8000 };

	cr_assert(push("x", -ENOBUFS, 0));
	for (size_t i = 0; i < sizeof pauses_us / sizeof pauses_us[0]; i++) {
		cr_assert_not(vly_queue_is_due(&queue, pauses_us[i] * UINT64_C(1000) - 1));
		cr_assert(vly_queue_is_due(&queue, pauses_us[i] * UINT64_C(1000)));
		vly_queue_set_retry(&queue, -ENOBUFS, 0);
	}
	vly_queue_set_retry(&queue, 0, 0);
	cr_assert(vly_queue_is_due(&queue, 0), "a success ends the pause");
	vly_queue_set_retry(&queue, -ENOBUFS, 0);
	vly_queue_pop(&queue, pool);
	cr_assert(push("x", -ENOBUFS, 0));
	cr_assert(vly_queue_is_due(&queue, 500000), "a new line begins with the first pause");
}

Test(queue, the_earlier_of_pause_and_deadline_is_its_time)
{
	cr_assert_not(vly_queue_is_late(&queue, UINT64_MAX), "nothing waits");
	cr_assert(push("x", -EAGAIN, 0));
	vly_queue_set_deadline(&queue, 700000);
	cr_assert_eq(vly_queue_get_time(&queue), 700000);
	cr_assert_not(vly_queue_is_late(&queue, 699999));
	cr_assert(vly_queue_is_late(&queue, 700000));
	vly_queue_set_retry(&queue, -ENOBUFS, 0);
	cr_assert_eq(vly_queue_get_time(&queue), 500000);
	vly_queue_set_retry(&queue, -ENOBUFS, 0);
	cr_assert_eq(vly_queue_get_time(&queue), 700000);
	/* The newest gets a deadline; the first one's is what counts. */
	cr_assert(push("y", 0, 0));
	vly_queue_set_deadline(&queue, 1);
	cr_assert_eq(vly_queue_get_time(&queue), 700000);
}
