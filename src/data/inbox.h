/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_INBOX_H
#define VLY_DATA_INBOX_H

/*
 * The inbox: many producers, one consumer (the worker), intrusive nodes, never full. Producers push
 * by compare-exchange on the head; the consumer takes the whole list by exchange and reverses it to
 * arrival order.
 *
 * It also carries the sleep flag: a push says whether the consumer must be woken, at most once per
 * sleep. Sleep flag and head use sequentially consistent operations: the consumer stores "asleep"
 * and then looks at the head, the producer changes the head and then looks at the flag, and one of
 * them must see the other.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct vly_inbox_node {
	struct vly_inbox_node *next;
	uint32_t kind; /* which struct the node is embedded in; the consumer's own numbers */
};

struct vly_inbox {
	VLY_ALIGNED struct vly_inbox_node *_Atomic head;
	VLY_ALIGNED _Atomic bool asleep;
};

void vly_inbox_init(struct vly_inbox *inbox);

/* Any thread. True: the consumer sleeps and this call must wake it (no other one will). */
bool vly_inbox_push(struct vly_inbox *inbox, struct vly_inbox_node *node);

/* Consumer: everything pushed so far in order of arrival, or NULL. */
struct vly_inbox_node *vly_inbox_take(struct vly_inbox *inbox);

/*
 * Consumer, before it waits: false when something is there, and then it must not wait. Either way
 * it calls vly_inbox_awake() next, and vly_inbox_take() after that and before it sleeps again. What
 * a wake leaves behind (an eventfd's count) is cleared before that take, never after it: it would
 * be a new wake that is cleared.
 */
bool vly_inbox_sleep(struct vly_inbox *inbox);

/*
 * Consumer, after it waited or decided not to. True: a producer claimed the wake meanwhile, and if
 * it has not woken us yet it is about to.
 */
bool vly_inbox_awake(struct vly_inbox *inbox);

#endif
