/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_WHEEL_H
#define VLY_DATA_WHEEL_H

/*
 * Timers in the order of their time: a hierarchical wheel of the user's struct volley_timer. It
 * knows no clock: whoever calls says what time it is. One thread's.
 */

#include <stdbool.h>
#include <stdint.h>

#include <volley/timer.h>

enum {
	VLY_WHEEL_N_LEVELS = 8,
	VLY_WHEEL_N_SLOTS = 64,
	/* A list for each slot, and behind them those that are on their way: see wheel.c. */
	VLY_WHEEL_OPENED = VLY_WHEEL_N_LEVELS * VLY_WHEEL_N_SLOTS,
	VLY_WHEEL_DUE,
	VLY_WHEEL_N_LISTS,
};

struct vly_wheel {
	uint64_t n;       /* timers that are set */
	uint64_t look_ns; /* before that vly_wheel_take() has nothing to do */
	uint64_t tick;    /* where the wheel stands */
	/* Which levels have any timer, and in which slots. */
	uint64_t levels;
	uint64_t slots[VLY_WHEEL_N_LEVELS];
	/* No timer of the slot has to fire before that; for slots that have any. */
	uint64_t wakes[VLY_WHEEL_N_LEVELS * VLY_WHEEL_N_SLOTS];
	/* As two words of volley_timer.internal: the next and the previous one, in a circle. */
	uint64_t lists[VLY_WHEEL_N_LISTS][2];
};

/* Most timers that become due in one vly_wheel_take(). */
enum { VLY_WHEEL_N_DUE = 256 };

void vly_wheel_init(struct vly_wheel *wheel);

/* Whether any timer is set, due ones too; whether this one is. */
static inline bool vly_wheel_has_any(const struct vly_wheel *wheel)
{
	return wheel->n > 0;
}

static inline bool vly_wheel_is_set(const struct volley_timer *timer)
{
	return timer->internal[0] != 0;
}

/* Set a timer, or move it: not to fire before `at_ns`, nor much later than `latest_ns`. */
void vly_wheel_set(struct vly_wheel *wheel, struct volley_timer *timer, uint64_t now_ns,
		   uint64_t at_ns, uint64_t latest_ns);

/* Clear a timer, also one that is due; one that is not set stays so. */
void vly_wheel_clear(struct vly_wheel *wheel, struct volley_timer *timer);

/*
 * Make due what has its time behind it, VLY_WHEEL_N_DUE timers at most. It does a bounded part of
 * the work; when there is more, vly_wheel_get_wake() says so.
 */
void vly_wheel_take(struct vly_wheel *wheel, uint64_t now_ns);

/* Take a timer that is due out of the wheel: it is not set any more. NULL: there is none. */
struct volley_timer *vly_wheel_pop(struct vly_wheel *wheel);

/*
 * When vly_wheel_take() is to be called again: at the earliest of the timers' latest times; seldom
 * sooner, where a timer was cleared; 0: at once; UINT64_MAX: never.
 */
uint64_t vly_wheel_get_wake(const struct vly_wheel *wheel);

/* Clear all timers, due ones too. */
void vly_wheel_reset(struct vly_wheel *wheel);

#endif
