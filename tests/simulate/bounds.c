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

/* What run has to do with it: it ends when run does, or it begins when run hears of it. */
enum run { RUN_IS_NONE, RUN_ENDS, RUN_HEARS };

static const struct {
	const char *name;
	uint32_t ms;
	bool has_begun_only; /* callbacks that begin later do not matter */
	enum run run;
} bounds[BOUND_N] = {
	[BOUND_STOP] = { "stop", 50, true, RUN_ENDS },
	[BOUND_SIGNAL] = { "a second signal", 50, true, RUN_HEARS },
	[BOUND_DRAIN] = { "drain", 30 + 50, true, RUN_HEARS },
	[BOUND_CLOSE] = { "close of a listener", 30, false, RUN_IS_NONE },
	[BOUND_LISTEN] = { "listen", 5, false, RUN_IS_NONE },
	[BOUND_POST] = { "post", 5, false, RUN_IS_NONE },
	[BOUND_LEAVE] = { "a reply or send that leaves", 5, true, RUN_IS_NONE },
	[BOUND_TIMER] = { "a timer", 5, false, RUN_IS_NONE },
	[BOUND_HOLD] = { "the end of a held packet", 5, true, RUN_IS_NONE },
};

enum { N_RUNNING = 1024, N_ENDED = 1024, SHORT_NS = 20000 };

struct span {
	uint64_t begin_ns; /* 0: nobody */
	uint64_t end_ns;
	bool is_signal; /* on_signal */
};

static struct span running[N_RUNNING];
static struct span ended[N_ENDED]; /* the last ones that took their time */
static uint32_t n_ended;
static bool is_judging;

void bounds_begin(void)
{
	is_judging = false;
	n_ended = 0;
	for (uint32_t i = 0; i < N_RUNNING; i++)
		running[i].begin_ns = 0;
}

void bounds_start(void)
{
	is_judging = world_pauses.per_million == 0; /* which end before the world does */
}

static uint32_t enter(bool is_signal)
{
	uint32_t slot = 0;

	while (slot + 1 < N_RUNNING && running[slot].begin_ns != 0)
		slot++;
	running[slot] = (struct span){ .begin_ns = world_now(), .is_signal = is_signal };
	return slot;
}

uint32_t bounds_enter(void)
{
	return enter(false);
}

uint32_t bounds_enter_signal(void)
{
	return enter(true);
}

void bounds_leave(uint32_t slot)
{
	running[slot].end_ns = world_now();
	if (running[slot].end_ns - running[slot].begin_ns >= SHORT_NS)
		ended[n_ended++ % N_ENDED] = running[slot];
	running[slot].begin_ns = 0;
}

bool bounds_are_judged(void)
{
	return is_judging && fault_count() == 0 &&
	       fault_plan.data + fault_plan.control + fault_plan.memory == 0;
}

/* When run hears again what it is told now: on_signal may be called once more at once. */
static uint64_t find_hearing(uint64_t at_ns)
{
	uint64_t before_ns;

	do {
		before_ns = at_ns;
		for (uint32_t i = 0; i < N_ENDED && i < n_ended; i++)
			if (ended[i].is_signal && ended[i].begin_ns <= at_ns + SLACK_MS * MS &&
			    ended[i].end_ns > at_ns)
				at_ns = ended[i].end_ns;
	} while (at_ns != before_ns);
	return at_ns;
}

/* When the last callback ended that began until then; all that ran meanwhile, when they matter. */
static uint64_t find_end(uint64_t since_ns, uint64_t until_ns)
{
	uint64_t end_ns = since_ns;

	for (uint32_t i = 0; i < N_RUNNING; i++)
		if (running[i].begin_ns != 0 && running[i].begin_ns <= until_ns)
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
	uint64_t hears_ns = bounds[bound].run != RUN_IS_NONE ? find_hearing(since_ns) : since_ns;
	uint64_t until_ns = bounds[bound].run == RUN_HEARS ? hears_ns : since_ns;
	uint64_t end_ns;

	if (now_ns - since_ns > MS && bound != BOUND_LEAVE)
		world_tell("%s took %llu us", bounds[bound].name,
			   (unsigned long long)((now_ns - since_ns) / 1000));
	if (!bounds_are_judged() || now_ns <= since_ns + allowed_ns)
		return;
	until_ns += more_ns + SLACK_MS * MS;
	end_ns = find_end(hears_ns, bounds[bound].has_begun_only ? until_ns : UINT64_MAX - 1);
	if (end_ns == UINT64_MAX || now_ns <= end_ns + allowed_ns)
		return;
	world_blame("%s takes %llu us, at most %llu and callbacks until %llu", bounds[bound].name,
		    (unsigned long long)((now_ns - since_ns) / 1000),
		    (unsigned long long)(allowed_ns / 1000),
		    (unsigned long long)((end_ns - since_ns) / 1000));
}
