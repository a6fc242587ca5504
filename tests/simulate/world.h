/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_WORLD_H
#define TESTS_SIMULATE_WORLD_H

/*
 * The simulated world: one clock, one source of chance, threads that take turns, and what happens
 * at a moment that was fixed before. Everything that happens follows from the seed.
 *
 * Threads are coroutines. One goes on until it blocks, or its budget of points is used up. A point
 * is a call of the system or an atomic operation of the library, so between any two of them any
 * other thread may run. The clock moves with points, and jumps when everybody waits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Chance --------------------------------------------------------------------------------------- */

uint64_t world_random(void);
/* Less than n. */
uint32_t world_pick(uint32_t n);
/* True in `per_million` of a million cases. */
bool world_chance(uint32_t per_million);

/* Time ----------------------------------------------------------------------------------------- */

uint64_t world_now(void);

struct moment {
	uint64_t at_ns;
	uint64_t order; /* of those of one moment, first come */
	uint32_t place; /* in the heap, from 1; 0: not there */
	void (*happen)(struct moment *moment);
};

void world_plan(struct moment *moment, uint64_t at_ns);
void world_cancel(struct moment *moment);

/* Threads -------------------------------------------------------------------------------------- */

struct process;
struct thread;

/* Those who wait for something. Woken, each looks again. */
struct waits {
	struct wait *first;
};

struct wait {
	struct thread *thread;
	struct wait *next;
	struct wait **link;
	struct wait *below; /* what the same thread waits for too */
};

enum { THREAD_NAME_BYTES = 16 };

struct thread {
	struct fiber *fiber;
	struct process *process; /* NULL: of the world itself */
	struct moment alarm;
	struct moment pause; /* planned: it cannot run before, whoever wakes it */
	bool was_woken;      /* meanwhile */
	uint32_t ready;      /* place among those that can run, from 1; 0: it waits */
	uint32_t number;
	char name[THREAD_NAME_BYTES];
	void *(*main)(void *arg);
	void *arg;
	void *result;
	bool is_over;
	bool is_joined;
	bool is_late;      /* its alarm ended the last wait */
	bool is_hit;       /* a signal did */
	uint32_t n_yields; /* since it has waited */
	struct waits joiners;
	struct wait *own_waits;
	/* Signals: bits of the mask, and of those that wait to be taken. */
	uint64_t blocked;
	uint64_t pending;
	bool in_handler;
	int cancel_state;
	/* For the story: the call that it is in, and on what. */
	const char *call;
	int call_detail;
	int call_fd; /* -1: none */
	void *specific[8];
	struct thread *next; /* of its process */
};

/* The one that runs; NULL: the world does. */
extern struct thread *world_thread;

struct thread *world_new_thread(struct process *process, const char *name, void *(*main)(void *arg),
				void *arg);
/* It never runs again. */
void world_end_thread(struct thread *thread);
/* Give back what is left of one that is over. */
void world_free_thread(struct thread *thread);

/* It does not run for so long. */
void world_pause(struct thread *thread, uint64_t ns);

/* Go on when somebody wakes one of these, or at `until_ns`: false then. UINT64_MAX: no time. */
void world_wait_begin(struct wait *wait, struct waits *at);
bool world_wait(uint64_t until_ns);
void world_wait_end(struct wait *wait); /* the last one first */
/* All three, for one thing to wait for. */
bool world_wait_for(struct waits *at, uint64_t until_ns);
void world_wake(struct waits *waits);
void world_wake_thread(struct thread *thread);

/* Somebody else's turn, perhaps. */
extern int world_budget;
void world_switch(void);
enum { CALL_POINTS = 30 };
static inline void world_point(void) /* of a call of the system */
{
	world_budget -= CALL_POINTS;
	if (world_budget <= 0)
		world_switch();
}

/* Life ----------------------------------------------------------------------------------------- */

/* What a world may have. */
enum world_part {
	PART_LOSS,
	PART_DOUBLES,
	PART_ICMP,
	PART_MERGING,
	PART_DELAY,
	PART_PAUSES,
	PART_DATA_FAULTS,
	PART_CONTROL_FAULTS,
	PART_MEMORY_FAULTS,
	PART_CASTS,
	PART_FORGERS,
	PART_STORMS,
	PART_LENGTHS,
	N_PARTS,
};
extern const char *const world_parts[N_PARTS];

/* What is left out of a world, to find the smallest that is still wrong. */
struct world_cut {
	uint32_t without; /* bits of the parts */
	uint32_t n_acts;  /* the first ones of the program: UINT32_MAX: all */
	uint32_t n_load;  /* requests of the clients */
};
extern struct world_cut world_cut;

/* Whether this world has that part, where chance says that it would. */
bool world_has(enum world_part part, bool would);

/* So many of a million turns do not come before a pause, which is up to so long. */
struct pauses {
	uint32_t per_million;
	uint64_t most_ns;
};
extern struct pauses world_pauses;

void world_begin(uint64_t seed);
/*
 * Until `main`, the first thread, is over: true. False: everybody waits for something that never
 * happens, or the clock has come to `end_ns`.
 */
bool world_run(struct thread *main, uint64_t end_ns);

/* The story ------------------------------------------------------------------------------------ */

/* Every line as it comes; or, when the world is over, the last ones. */
enum world_telling { TELL_NOTHING, TELL_ALL, TELL_LAST };
extern enum world_telling world_tells;
void world_tell_last(void);

__attribute__((format(printf, 1, 2))) void world_tell(const char *format, ...);

/* The oracle's verdict. The first one counts. */
__attribute__((format(printf, 1, 2))) void world_blame(const char *format, ...);
const char *world_get_blame(void);

#endif
