/* SPDX-License-Identifier: MIT */

/*
 * The inbox. A push links its node in front of the head; a take cuts the whole chain off, which is
 * newest first, and turns it round. As nobody ever removes a single node, a head that was taken and
 * pushed again between a producer's look and its exchange is still the right next (no ABA).
 *
 * No wake is missed because all four operations below are sequentially consistent, and so happen in
 * one order that both threads agree on:
 *
 *     consumer: asleep = true;  look at head       (and does not wait when it is not empty)
 *     producer: head = node;    look at asleep     (and wakes when it is set)
 *
 * Whichever store comes first in that order is seen by the other side's look. With release and
 * acquire alone both looks may come out empty: that is a store followed by a load of something
 * else, which x86 and ARM reorder, and tests/race/race_inbox.c catches.
 */

#include "data/inbox.h"

#include <stddef.h>

void vly_inbox_init(struct vly_inbox *inbox)
{
	atomic_init(&inbox->head, NULL);
	atomic_init(&inbox->asleep, false);
}

bool vly_inbox_push(struct vly_inbox *inbox, struct vly_inbox_node *node)
{
	struct vly_inbox_node *head = atomic_load_explicit(&inbox->head, memory_order_relaxed);

	assert(node != NULL);
	/* Releases the node's next link and all that the caller wrote into its object. */
	do
		node->next = head;
	while (!atomic_compare_exchange_weak_explicit(&inbox->head, &head, node,
						      memory_order_seq_cst, memory_order_relaxed));

	/* The plain look first: while the consumer is awake, its flag's line stays shared. */
	return atomic_load_explicit(&inbox->asleep, memory_order_seq_cst) &&
	       atomic_exchange_explicit(&inbox->asleep, false, memory_order_seq_cst);
}

struct vly_inbox_node *vly_inbox_take(struct vly_inbox *inbox)
{
	struct vly_inbox_node *newest, *oldest = NULL;

	if (atomic_load_explicit(&inbox->head, memory_order_relaxed) == NULL)
		return NULL;
	newest = atomic_exchange_explicit(&inbox->head, NULL, memory_order_acquire);
	while (newest != NULL) {
		struct vly_inbox_node *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

bool vly_inbox_sleep(struct vly_inbox *inbox)
{
	/* Releases nothing but itself: "from here on somebody must wake me". */
	atomic_store_explicit(&inbox->asleep, true, memory_order_seq_cst);
	return atomic_load_explicit(&inbox->head, memory_order_seq_cst) == NULL;
}

bool vly_inbox_awake(struct vly_inbox *inbox)
{
	/* Acquire: after "true" the next take sees the node of whoever claimed the wake. */
	return !atomic_exchange_explicit(&inbox->asleep, false, memory_order_acquire);
}
