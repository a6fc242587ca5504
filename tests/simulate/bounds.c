/* SPDX-License-Identifier: MIT */

#include "bounds.h"

#include "fault.h"
#include "world.h"

static const uint64_t MS = 1000000;

/*
 * The header's figure, and what the other threads of the world take of its one processor: they
 * never have it for longer than a turn, but all of them may have one.
 */
enum { SLACK_MS = 3 };

static const struct {
	const char *name;
	uint32_t ms;
	bool has_begun_only; /* callbacks that begin later do not matter */
} bounds[BOUND_N] = {
	[BOUND_STOP] = { "stop", 50, true },
	[BOUND_DRAIN] = { "drain", 30 + 50, true },
	[BOUND_CLOSE] = { "close of a listener", 30, false },
	[BOUND_LISTEN] = { "listen", 5, false },
	[BOUND_POST] = { "post", 5, false },
	[BOUND_LEAVE] = { "a reply or send that leaves", 5, true },
	[BOUND_TIMER] = { "a timer", 5, false },
	[BOUND_HOLD] = { "the end of a held packet", 5, true },
};

enum { N_RUNNING = 1024, N_ENDED = 1024, SHORT_NS = 20000 };

static uint64_t running[N_RUNNING]; /* when it began; 0: nobody */
static struct {
	uint64_t begin_ns, end_ns;
} ended[N_ENDED]; /* the last ones that took their time */
static uint32_t n_ended;
static bool is_judging;

void bounds_begin(void)
{
	is_judging = false;
	n_ended = 0;
	for (uint32_t i = 0; i < N_RUNNING; i++)
		running[i] = 0;
}

void bounds_start(void)
{
	is_judging = world_pauses.per_million == 0; /* which end before the world does */
}

uint32_t bounds_enter(void)
{
	uint32_t slot = 0;

	while (slot + 1 < N_RUNNING && running[slot] != 0)
		slot++;
	running[slot] = world_now();
	return slot;
}

void bounds_leave(uint32_t slot)
{
	uint64_t now_ns = world_now();

	if (now_ns - running[slot] >= SHORT_NS) {
		ended[n_ended % N_ENDED].begin_ns = running[slot];
		ended[n_ended++ % N_ENDED].end_ns = now_ns;
	}
	running[slot] = 0;
}

bool bounds_are_judged(void)
{
	return is_judging && fault_count() == 0 &&
	       fault_plan.data + fault_plan.control + fault_plan.memory == 0;
}

/* When the last callback ended that began until then; all that ran meanwhile, when they matter. */
static uint64_t find_end(uint64_t since_ns, uint64_t until_ns)
{
	uint64_t end_ns = since_ns;

	for (uint32_t i = 0; i < N_RUNNING; i++)
		if (running[i] != 0 && running[i] <= until_ns)
			return UINT64_MAX;
	for (uint32_t i = 0; i < N_ENDED && i < n_ended; i++)
		if (ended[i].begin_ns <= until_ns && ended[i].end_ns > end_ns)
			end_ns = ended[i].end_ns;
	return end_ns;
}

void bounds_judge(enum bound bound, uint64_t since_ns, uint64_t more_ns)
{
	uint64_t now_ns = world_now();
	uint64_t allowed_ns = more_ns + (bounds[bound].ms + SLACK_MS) * MS;
	uint64_t until_ns = since_ns + more_ns + SLACK_MS * MS;
	uint64_t end_ns;

	if (now_ns - since_ns > MS && bound != BOUND_LEAVE)
		world_tell("%s took %llu us", bounds[bound].name,
			   (unsigned long long)((now_ns - since_ns) / 1000));
	if (!bounds_are_judged() || now_ns <= since_ns + allowed_ns)
		return;
	end_ns = find_end(since_ns, bounds[bound].has_begun_only ? until_ns : UINT64_MAX - 1);
	if (end_ns == UINT64_MAX || now_ns <= end_ns + allowed_ns)
		return;
	world_blame("%s takes %llu us, at most %llu and callbacks until %llu", bounds[bound].name,
		    (unsigned long long)((now_ns - since_ns) / 1000),
		    (unsigned long long)(allowed_ns / 1000),
		    (unsigned long long)((end_ns - since_ns) / 1000));
}
