/* SPDX-License-Identifier: MIT */

#include "world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"

void *__real_malloc(size_t n);
void *__real_realloc(void *memory, size_t n);
void __real_free(void *memory);

/* What a point takes, in virtual time. */
enum { POINT_NS = 10 };

static struct {
	uint64_t random[2];
	uint64_t now_ns;
	uint64_t order;
	struct moment **heap; /* from 1 */
	uint32_t n_heap, n_heap_room;
	struct thread **ready; /* from 1 */
	uint32_t n_ready, n_ready_room;
	uint32_t n_threads;
	int budget; /* that the one who runs began with */
	uint32_t n_mean;
	uint64_t end_ns;
	char blame[400];
} world;

struct thread *world_thread;
struct pauses world_pauses;
int world_budget;
enum world_telling world_tells;
struct world_cut world_cut = { .n_acts = UINT32_MAX, .n_load = UINT32_MAX };

const char *const world_parts[N_PARTS] = {
	[PART_LOSS] = "loss",
	[PART_DOUBLES] = "doubles",
	[PART_ICMP] = "icmp",
	[PART_MERGING] = "merging",
	[PART_DELAY] = "delay",
	[PART_PAUSES] = "pauses",
	[PART_DATA_FAULTS] = "data-faults",
	[PART_CONTROL_FAULTS] = "control-faults",
	[PART_MEMORY_FAULTS] = "memory-faults",
	[PART_CASTS] = "casts",
	[PART_FORGERS] = "forgers",
	[PART_STORMS] = "storms",
	[PART_LENGTHS] = "lengths",
};

bool world_has(enum world_part part, bool would)
{
	return would && !(world_cut.without >> part & 1);
}

/* Chance: xoroshiro128+ */

static uint64_t rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

uint64_t world_random(void)
{
	uint64_t a = world.random[0];
	uint64_t b = world.random[1];
	uint64_t result = a + b;

	b ^= a;
	world.random[0] = rotate(a, 24) ^ b ^ b << 16;
	world.random[1] = rotate(b, 37);
	return result;
}

uint32_t world_pick(uint32_t n)
{
	return (uint32_t)((world_random() >> 32) * n >> 32);
}

bool world_chance(uint32_t per_million)
{
	return per_million > 0 && world_pick(1000000) < per_million;
}

static void seed_random(uint64_t seed)
{
	for (int i = 0; i < 2; i++) { /* splitmix64 */
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		world.random[i] = z ^ z >> 31;
	}
}

/* Time */

uint64_t world_now(void)
{
	return world.now_ns + (uint64_t)(world.budget - world_budget) * POINT_NS;
}

static bool is_before(const struct moment *a, const struct moment *b)
{
	return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void put(struct moment *moment, uint32_t place)
{
	world.heap[place] = moment;
	moment->place = place;
}

static void rise(struct moment *moment, uint32_t place)
{
	while (place > 1 && is_before(moment, world.heap[place / 2])) {
		put(world.heap[place / 2], place);
		place /= 2;
	}
	put(moment, place);
}

static void sink(struct moment *moment, uint32_t place)
{
	for (;;) {
		uint32_t child = place * 2;

		if (child > world.n_heap)
			break;
		if (child < world.n_heap && is_before(world.heap[child + 1], world.heap[child]))
			child++;
		if (is_before(moment, world.heap[child]))
			break;
		put(world.heap[child], place);
		place = child;
	}
	put(moment, place);
}

void world_plan(struct moment *moment, uint64_t at_ns)
{
	assert(moment->place == 0);
	if (world.n_heap + 2 > world.n_heap_room) {
		world.n_heap_room = world.n_heap_room * 2 + 64;
		world.heap = __real_realloc(world.heap, world.n_heap_room * sizeof(void *));
	}
	moment->at_ns = at_ns;
	moment->order = world.order++;
	rise(moment, ++world.n_heap);
}

void world_cancel(struct moment *moment)
{
	uint32_t place = moment->place;
	struct moment *last;

	if (place == 0)
		return;
	moment->place = 0;
	last = world.heap[world.n_heap--];
	if (last == moment)
		return;
	if (place > 1 && is_before(last, world.heap[place / 2]))
		rise(last, place);
	else
		sink(last, place);
}

/* Threads */

static void make_ready(struct thread *thread)
{
	if (thread->pause.place != 0)
		thread->was_woken = true;
	if (thread->ready != 0 || thread->is_over || thread->pause.place != 0)
		return;
	if (world.n_ready + 2 > world.n_ready_room) {
		world.n_ready_room = world.n_ready_room * 2 + 64;
		world.ready = __real_realloc(world.ready, world.n_ready_room * sizeof(void *));
	}
	world.ready[++world.n_ready] = thread;
	thread->ready = world.n_ready;
}

static void make_unready(struct thread *thread)
{
	struct thread *last;

	if (thread->ready == 0)
		return;
	last = world.ready[world.n_ready--];
	world.ready[thread->ready] = last;
	last->ready = thread->ready;
	thread->ready = 0;
}

static void ring(struct moment *moment)
{
	struct thread *thread = (struct thread *)(void *)((char *)moment -
							  offsetof(struct thread, alarm));

	thread->is_late = true;
	make_ready(thread);
}

static void resume(struct moment *moment)
{
	struct thread *thread = (struct thread *)(void *)((char *)moment -
							  offsetof(struct thread, pause));

	if (thread->was_woken)
		make_ready(thread);
}

static void run_thread(void *arg)
{
	struct thread *thread = arg;

	thread->result = thread->main(thread->arg);
	world_end_thread(thread);
	fiber_switch(fiber_root());
}

struct thread *world_new_thread(struct process *process, const char *name, void *(*main)(void *arg),
				void *arg)
{
	struct thread *thread = __real_malloc(sizeof *thread);

	*thread = (struct thread){ .process = process, .main = main, .arg = arg, .call_fd = -1 };
	thread->number = ++world.n_threads;
	thread->alarm.happen = ring;
	thread->pause.happen = resume;
	snprintf(thread->name, sizeof thread->name, "%s", name);
	thread->fiber = fiber_new(run_thread, thread);
	make_ready(thread);
	return thread;
}

void world_end_thread(struct thread *thread)
{
	make_unready(thread);
	world_cancel(&thread->alarm);
	world_cancel(&thread->pause);
	while (thread->own_waits != NULL)
		world_wait_end(thread->own_waits);
	thread->is_over = true;
	world_wake(&thread->joiners);
}

void world_free_thread(struct thread *thread)
{
	assert(thread->is_over && thread != world_thread);
	fiber_free(thread->fiber);
	__real_free(thread);
}

void world_wait_begin(struct wait *wait, struct waits *at)
{
	wait->thread = world_thread;
	wait->below = world_thread->own_waits;
	world_thread->own_waits = wait;
	wait->next = at->first;
	wait->link = &at->first;
	if (at->first != NULL)
		at->first->link = &wait->next;
	at->first = wait;
}

void world_wait_end(struct wait *wait)
{
	assert(wait->thread->own_waits == wait);
	wait->thread->own_waits = wait->below;
	*wait->link = wait->next;
	if (wait->next != NULL)
		wait->next->link = wait->link;
}

static void leave(void)
{
	fiber_switch(fiber_root());
}

bool world_wait(uint64_t until_ns)
{
	struct thread *thread = world_thread;

	assert(thread != NULL);
	thread->is_late = thread->is_hit = false;
	thread->n_yields = 0;
	make_unready(thread);
	if (until_ns != UINT64_MAX)
		world_plan(&thread->alarm, until_ns);
	leave();
	world_cancel(&thread->alarm);
	return !thread->is_late;
}

bool world_wait_for(struct waits *at, uint64_t until_ns)
{
	struct wait wait;
	bool in_time;

	world_wait_begin(&wait, at);
	in_time = world_wait(until_ns);
	world_wait_end(&wait);
	return in_time;
}

void world_wake_thread(struct thread *thread)
{
	make_ready(thread);
}

void world_wake(struct waits *waits)
{
	for (struct wait *wait = waits->first; wait != NULL; wait = wait->next)
		make_ready(wait->thread);
}

static int draw_budget(void)
{
	return 1 + (int)world_pick(2 * world.n_mean);
}

void world_switch(void)
{
	if (world_thread != NULL)
		leave();
}

/* Life */

void world_begin(uint64_t seed)
{
	static bool is_first = true;

	if (is_first)
		fiber_init();
	is_first = false;
	seed_random(seed);
	world.now_ns = UINT64_C(1000000000) * (1 + world_pick(1000000));
	world.n_heap = world.n_ready = world.n_threads = 0;
	world.order = 0;
	world.blame[0] = '\0';
	/* Some worlds change threads all the time, some seldom. */
	world.n_mean = 1u << world_pick(14);
	world_budget = world.budget = 0;
	world_pauses = (struct pauses){ 0 };
}

void world_pause(struct thread *thread, uint64_t ns)
{
	bool was_ready = thread->ready != 0 || (thread->pause.place != 0 && thread->was_woken);

	make_unready(thread);
	world_cancel(&thread->pause);
	thread->was_woken = was_ready;
	world_plan(&thread->pause, world_now() + ns);
}

static void happen(void)
{
	struct moment *moment = world.heap[1];

	if (moment->at_ns > world.now_ns)
		world.now_ns = moment->at_ns;
	world_cancel(moment);
	moment->happen(moment);
}

bool world_run(struct thread *main, uint64_t end_ns)
{
	while (!main->is_over && world.blame[0] == '\0') {
		while (world.n_heap > 0 && world.heap[1]->at_ns <= world.now_ns)
			happen();
		if (world.n_ready == 0) {
			if (world.n_heap == 0 || world.heap[1]->at_ns > end_ns)
				return false;
			happen();
			continue;
		}
		if (world.now_ns > end_ns)
			return false;
		world_thread = world.ready[1 + world_pick(world.n_ready)];
		if (world_chance(world_pauses.per_million)) {
			struct thread *thread = world_thread;

			world_thread = NULL;
			world_pause(thread, world_random() % world_pauses.most_ns);
			continue;
		}
		world_budget = world.budget = draw_budget();
		fiber_switch(world_thread->fiber);
		world.now_ns = world_now() + POINT_NS;
		world_budget = world.budget = 0;
		world_thread = NULL;
	}
	return main->is_over;
}

/* The story */

enum { N_LAST = 60, LINE_BYTES = 200 };
static char last_lines[N_LAST][LINE_BYTES];
static uint32_t n_lines;

void world_tell(const char *format, ...)
{
	uint64_t now_ns = world_now();
	char *line = last_lines[n_lines % N_LAST];
	va_list args;
	int n;

	if (world_tells == TELL_NOTHING)
		return;
	n = snprintf(line, LINE_BYTES, "%9llu.%03llu us  %-12s ",
		     (unsigned long long)(now_ns / 1000 % 1000000000),
		     (unsigned long long)(now_ns % 1000),
		     world_thread != NULL ? world_thread->name : "(world)");
	va_start(args, format);
	vsnprintf(line + n, LINE_BYTES - (size_t)n, format, args);
	va_end(args);
	n_lines++;
	if (world_tells == TELL_ALL)
		puts(line);
}

void world_tell_last(void)
{
	uint32_t i = n_lines > N_LAST ? n_lines - N_LAST : 0;

	if (i > 0)
		printf("(%u lines before these)\n", i);
	for (; i < n_lines; i++)
		puts(last_lines[i % N_LAST]);
}

void world_blame(const char *format, ...)
{
	va_list args;

	if (world.blame[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(world.blame, sizeof world.blame, format, args);
	va_end(args);
	world_tell("BLAME: %s", world.blame);
}

const char *world_get_blame(void)
{
	return world.blame[0] != '\0' ? world.blame : NULL;
}
