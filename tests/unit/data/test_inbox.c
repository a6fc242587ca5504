/* SPDX-License-Identifier: MIT */

/* What one thread can see; tests/race/race_inbox.c is about several. */

#include <criterion/criterion.h>

#include "data/inbox.h"

Test(inbox, take_of_an_empty_one_is_null)
{
	struct vly_inbox inbox;

	vly_inbox_init(&inbox);
	cr_assert_null(vly_inbox_take(&inbox));
}

Test(inbox, take_gives_all_in_order_of_arrival)
{
	struct vly_inbox inbox;
	struct vly_inbox_node nodes[5], *node;

	vly_inbox_init(&inbox);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 5; i++)
			vly_inbox_push(&inbox, &nodes[i]);
		node = vly_inbox_take(&inbox);
		for (int i = 0; i < 5; i++) {
			cr_assert_eq(node, &nodes[i]);
			node = node->next;
		}
		cr_assert_null(node);
		cr_assert_null(vly_inbox_take(&inbox));
	}
}

Test(inbox, nobody_is_woken_who_does_not_sleep)
{
	struct vly_inbox inbox;
	struct vly_inbox_node node;

	vly_inbox_init(&inbox);
	cr_assert_not(vly_inbox_push(&inbox, &node));
}

Test(inbox, one_push_of_a_burst_wakes)
{
	struct vly_inbox inbox;
	struct vly_inbox_node nodes[3];

	vly_inbox_init(&inbox);
	for (int round = 0; round < 2; round++) {
		cr_assert(vly_inbox_sleep(&inbox));
		cr_assert(vly_inbox_push(&inbox, &nodes[0]));
		cr_assert_not(vly_inbox_push(&inbox, &nodes[1]));
		cr_assert_not(vly_inbox_push(&inbox, &nodes[2]));
		cr_assert(vly_inbox_awake(&inbox), "somebody claimed the wake");
		cr_assert_eq(vly_inbox_take(&inbox), &nodes[0]);
	}
}

Test(inbox, sleep_is_refused_while_something_is_there)
{
	struct vly_inbox inbox;
	struct vly_inbox_node nodes[2];

	vly_inbox_init(&inbox);
	vly_inbox_push(&inbox, &nodes[0]);
	cr_assert_not(vly_inbox_sleep(&inbox));
	cr_assert_not(vly_inbox_awake(&inbox), "it came before the sleep: nobody claimed a wake");
	cr_assert_not(vly_inbox_push(&inbox, &nodes[1]));
	vly_inbox_take(&inbox);
	cr_assert(vly_inbox_sleep(&inbox));
}

/* The gap between a refused sleep and its awake: the flag is up, so a producer may claim it. */
Test(inbox, a_wake_claimed_during_a_refused_sleep_is_told)
{
	struct vly_inbox inbox;
	struct vly_inbox_node nodes[2];

	vly_inbox_init(&inbox);
	vly_inbox_push(&inbox, &nodes[0]);
	cr_assert_not(vly_inbox_sleep(&inbox));
	cr_assert(vly_inbox_push(&inbox, &nodes[1]));
	cr_assert(vly_inbox_awake(&inbox));
}

Test(inbox, awake_ends_the_sleep)
{
	struct vly_inbox inbox;
	struct vly_inbox_node node;

	vly_inbox_init(&inbox);
	cr_assert(vly_inbox_sleep(&inbox));
	cr_assert_not(vly_inbox_awake(&inbox), "nobody claimed the wake");
	cr_assert_not(vly_inbox_push(&inbox, &node));
}
