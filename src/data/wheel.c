/* SPDX-License-Identifier: MIT */

/*
 * A hierarchical timing wheel. A slot of level 0 is a tick of 65 us, a slot of each other level is
 * 64 slots of the one below, and eight levels are all the time there is. Each slot is a list:
 *
 *     the time in ticks   |  digit 7  |  ...  |  digit 1  |  digit 0  |     of 6 bits each
 *     where the wheel stands: `tick`; a timer lies at the highest digit in which it differs from
 *     that, in the slot that its own digit names
 *
 * So what lies at a level has the higher digits of `tick` and a larger one there (at level 0 also
 * the same), and all of it comes before all of the level above. The first slot is the lowest one of
 * the lowest level that has any: two looks at bits.
 *
 * Ticks are for finding only. Each timer keeps its own time to the nanosecond, and when a slot has
 * begun, it is opened: its list becomes the list of the opened, and each of those is due if its own
 * time is over, or goes back into the wheel, which now stands at that slot; then it lies lower. One
 * call opens so much and no more, however many there are: a million timers of one slot must not
 * keep datagrams waiting. What is left over is looked at first the next time.
 *
 * What is due is cut off from the wheel before any of it fires: what is set meanwhile, for now
 * even, waits for the next look. All lists are circles with a head of their own, so that a timer
 * leaves the list that it is in without asking which one that is.
 *
 * For a wake the times matter at which timers have to fire (the time and the slack), and they lie
 * in no order. Each slot knows the earliest of its own, and slots are looked at from the first one
 * until one begins later than what was found. When a timer leaves, its slot keeps what it had: the
 * worst is a wake for nothing, at which the slot is opened and gets it right.
 */

#include "data/wheel.h"

#include <assert.h>
#include <string.h>

#include "base/compiler.h"

/*
 * A tick is short enough that what has to be looked at again, because its tick has begun and its
 * time has not come, is little; the look is exact anyway. With 2^16 ns the levels end with 64 bits.
 */
enum { TICK_BITS = 16, DIGIT_BITS = 6, DIGIT = VLY_WHEEL_N_SLOTS - 1 };

static_assert(TICK_BITS + DIGIT_BITS * VLY_WHEEL_N_LEVELS == 64, "all of 64 bits");
static_assert(1 << DIGIT_BITS == VLY_WHEEL_N_SLOTS, "a word of bits for each level");

/*
 * Most timers that one call looks at. One that lies in no cache costs 100 ns, so this is less than
 * what 64 datagrams take; and the 256 that may fire are found if most of an opened slot is due.
 */
enum { N_LOOKS = 512 };

/* The words of volley_timer.internal; the first two are the link of its list. */
enum { NEXT, PREV, AT_NS, LATEST_NS };

static struct volley_timer *get_timer(uint64_t *link)
{
	return VLY_CONTAINER_OF(link, struct volley_timer, internal);
}

/* Lists ---------------------------------------------------------------------------------------- */

static uint64_t *get_link(uint64_t word)
{
	return (uint64_t *)(uintptr_t)word;
}

static uint64_t get_word(const uint64_t *link)
{
	return (uintptr_t)link;
}

static void empty_list(uint64_t *list)
{
	list[NEXT] = list[PREV] = get_word(list);
}

static bool has_any(const uint64_t *list)
{
	return list[NEXT] != get_word(list);
}

static void add_last(uint64_t *list, uint64_t *link)
{
	uint64_t *last = get_link(list[PREV]);

	link[NEXT] = get_word(list);
	link[PREV] = get_word(last);
	last[NEXT] = list[PREV] = get_word(link);
}

/* All of a list, into one that has none. */
static void move_list(uint64_t *from, uint64_t *to)
{
	uint64_t *first = get_link(from[NEXT]);
	uint64_t *last = get_link(from[PREV]);

	assert(has_any(from) && !has_any(to));
	to[NEXT] = get_word(first);
	to[PREV] = get_word(last);
	first[PREV] = last[NEXT] = get_word(to);
	empty_list(from);
}

/* Slots ---------------------------------------------------------------------------------------- */

/* Where a slot begins, in ticks. */
static uint64_t get_start(const struct vly_wheel *wheel, uint32_t slot)
{
	uint32_t shift = slot / VLY_WHEEL_N_SLOTS * DIGIT_BITS;
	uint64_t above = wheel->tick >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS);

	return above | (uint64_t)(slot & DIGIT) << shift;
}

/* The first slot that has any timer; VLY_WHEEL_OPENED: none has. */
static uint32_t find_first(const struct vly_wheel *wheel)
{
	uint32_t level;

	if (wheel->levels == 0)
		return VLY_WHEEL_OPENED;
	level = VLY_LOWEST_BIT(wheel->levels);
	return level * VLY_WHEEL_N_SLOTS + VLY_LOWEST_BIT(wheel->slots[level]);
}

static void mark_empty(struct vly_wheel *wheel, uint32_t slot)
{
	uint32_t level = slot / VLY_WHEEL_N_SLOTS;

	wheel->slots[level] &= ~(UINT64_C(1) << (slot & DIGIT));
	if (wheel->slots[level] == 0)
		wheel->levels &= ~(UINT64_C(1) << level);
}

static void mark_wake(struct vly_wheel *wheel, uint32_t slot, uint64_t latest_ns)
{
	uint32_t level = slot / VLY_WHEEL_N_SLOTS;
	uint64_t bit = UINT64_C(1) << (slot & DIGIT);

	if (!(wheel->slots[level] & bit) || latest_ns < wheel->wakes[slot])
		wheel->wakes[slot] = latest_ns;
	wheel->slots[level] |= bit;
	wheel->levels |= UINT64_C(1) << level;
}

static uint32_t find_slot(const struct vly_wheel *wheel, uint64_t tick)
{
	uint64_t differs = tick ^ wheel->tick;
	uint32_t level = differs == 0 ? 0 : VLY_HIGHEST_BIT(differs) / DIGIT_BITS;

	return level * VLY_WHEEL_N_SLOTS + (uint32_t)(tick >> level * DIGIT_BITS & DIGIT);
}

static void lower_look(struct vly_wheel *wheel, uint64_t look_ns)
{
	if (look_ns < wheel->look_ns)
		wheel->look_ns = look_ns;
}

/* A timer whose times are written. What is behind the wheel is looked at first. */
static void insert(struct vly_wheel *wheel, uint64_t *link)
{
	uint64_t tick = link[AT_NS] >> TICK_BITS;
	uint32_t slot;

	if (tick < wheel->tick)
		tick = wheel->tick;
	slot = find_slot(wheel, tick);
	add_last(wheel->lists[slot], link);
	mark_wake(wheel, slot, link[LATEST_NS]);
	lower_look(wheel,
		   slot < VLY_WHEEL_N_SLOTS ? link[AT_NS] : get_start(wheel, slot) << TICK_BITS);
}

/* Out of the list that it is in, whichever that is. */
static void unlink_timer(struct vly_wheel *wheel, uint64_t *link)
{
	uint64_t *next = get_link(link[NEXT]);
	uint64_t *prev = get_link(link[PREV]);

	next[PREV] = get_word(prev);
	prev[NEXT] = get_word(next);
	if (next == prev) { /* the head of a list that is empty now */
		uint32_t list = (uint32_t)((next - wheel->lists[0]) / 2);

		assert(list < VLY_WHEEL_N_LISTS);
		if (list < VLY_WHEEL_OPENED)
			mark_empty(wheel, list);
	}
}

/* Timers --------------------------------------------------------------------------------------- */

void vly_wheel_init(struct vly_wheel *wheel)
{
	memset(wheel, 0, sizeof *wheel);
	wheel->look_ns = UINT64_MAX;
	for (uint32_t list = 0; list < VLY_WHEEL_N_LISTS; list++)
		empty_list(wheel->lists[list]);
}

static void forget(struct vly_wheel *wheel, struct volley_timer *timer)
{
	assert(wheel->n > 0);
	unlink_timer(wheel, timer->internal);
	memset(timer->internal, 0, sizeof timer->internal);
	wheel->n--;
}

/*
 * Before the next look nothing has begun that is in the wheel, so it may move on: what is set then
 * lies as low as can be.
 */
static void move_on(struct vly_wheel *wheel, uint64_t now_ns)
{
	uint64_t tick = now_ns >> TICK_BITS;

	if (wheel->n == 0)
		wheel->look_ns = UINT64_MAX;
	if (now_ns < wheel->look_ns && tick > wheel->tick)
		wheel->tick = tick;
}

void vly_wheel_set(struct vly_wheel *wheel, struct volley_timer *timer, uint64_t now_ns,
		   uint64_t at_ns, uint64_t latest_ns)
{
	uint64_t *link = timer->internal;

	assert(at_ns <= latest_ns);
	if (vly_wheel_is_set(timer)) {
		unlink_timer(wheel, link);
		wheel->n--;
	}
	move_on(wheel, now_ns);
	wheel->n++;
	link[AT_NS] = at_ns;
	link[LATEST_NS] = latest_ns;
	insert(wheel, link);
}

void vly_wheel_clear(struct vly_wheel *wheel, struct volley_timer *timer)
{
	if (vly_wheel_is_set(timer))
		forget(wheel, timer);
}

void vly_wheel_reset(struct vly_wheel *wheel)
{
	for (uint32_t list = 0; list < VLY_WHEEL_N_LISTS && wheel->n > 0; list++)
		while (has_any(wheel->lists[list]))
			forget(wheel, get_timer(get_link(wheel->lists[list][NEXT])));
	assert(wheel->n == 0 && wheel->levels == 0);
}

/* Due ------------------------------------------------------------------------------------------ */

/* Open the first slot, if it has begun; whether it has. ret_is_last: what follows has not. */
static bool open_first(struct vly_wheel *wheel, uint64_t now_tick, bool *ret_is_last)
{
	uint32_t slot = find_first(wheel);
	uint64_t start = slot != VLY_WHEEL_OPENED ? get_start(wheel, slot) : 0;

	if (slot == VLY_WHEEL_OPENED || start > now_tick)
		return false;
	assert(start >= wheel->tick);
	wheel->tick = start;
	move_list(wheel->lists[slot], wheel->lists[VLY_WHEEL_OPENED]);
	mark_empty(wheel, slot);
	*ret_is_last = slot < VLY_WHEEL_N_SLOTS && start == now_tick;
	return true;
}

/* The first of the opened: due, or back into the wheel. Whether it is due. */
static bool take_first(struct vly_wheel *wheel, uint64_t now_ns)
{
	uint64_t *link = get_link(wheel->lists[VLY_WHEEL_OPENED][NEXT]);
	bool is_due = link[AT_NS] <= now_ns;

	unlink_timer(wheel, link);
	if (is_due)
		add_last(wheel->lists[VLY_WHEEL_DUE], link);
	else
		insert(wheel, link);
	return is_due;
}

/* All that has begun was opened; what went back into the slot of now has been looked at. */
static void finish(struct vly_wheel *wheel, uint64_t now_tick)
{
	uint32_t slot = find_first(wheel);

	if (now_tick > wheel->tick)
		wheel->tick = now_tick;
	if (slot != VLY_WHEEL_OPENED && get_start(wheel, slot) > now_tick)
		lower_look(wheel, get_start(wheel, slot) << TICK_BITS);
}

void vly_wheel_take(struct vly_wheel *wheel, uint64_t now_ns)
{
	uint64_t now_tick = now_ns >> TICK_BITS;
	uint32_t n_due = 0;
	bool is_last = false;

	if (now_ns < wheel->look_ns)
		return;
	wheel->look_ns = UINT64_MAX;
	for (uint32_t i = 0; i < N_LOOKS && n_due < VLY_WHEEL_N_DUE; i++) {
		bool has_opened = has_any(wheel->lists[VLY_WHEEL_OPENED]);

		if (!has_opened && (is_last || !open_first(wheel, now_tick, &is_last))) {
			finish(wheel, now_tick);
			return;
		}
		n_due += take_first(wheel, now_ns);
	}
	wheel->look_ns = 0; /* there may be more */
}

struct volley_timer *vly_wheel_pop(struct vly_wheel *wheel)
{
	uint64_t *list = wheel->lists[VLY_WHEEL_DUE];
	struct volley_timer *timer;

	if (!has_any(list))
		return NULL;
	timer = get_timer(get_link(list[NEXT]));
	forget(wheel, timer);
	return timer;
}

/* The earliest wake of a level's slots, none of which begins later than what was found so far. */
static uint64_t find_wake(const struct vly_wheel *wheel, uint32_t level, uint64_t wake_ns)
{
	for (uint64_t left = wheel->slots[level]; left != 0; left &= left - 1) {
		uint32_t slot = level * VLY_WHEEL_N_SLOTS + VLY_LOWEST_BIT(left);

		if (get_start(wheel, slot) << TICK_BITS >= wake_ns)
			break;
		if (wheel->wakes[slot] < wake_ns)
			wake_ns = wheel->wakes[slot];
	}
	return wake_ns;
}

uint64_t vly_wheel_get_wake(const struct vly_wheel *wheel)
{
	uint64_t wake_ns = UINT64_MAX;

	if (has_any(wheel->lists[VLY_WHEEL_OPENED]) || has_any(wheel->lists[VLY_WHEEL_DUE]))
		return 0;
	for (uint64_t left = wheel->levels; left != 0; left &= left - 1)
		wake_ns = find_wake(wheel, VLY_LOWEST_BIT(left), wake_ns);
	return wake_ns;
}
