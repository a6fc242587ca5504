/* SPDX-License-Identifier: MIT */

#include "timers.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "bounds.h"
#include "fault.h"

static const uint64_t US = 1000;

/* More than fire in one turn. */
enum { N_TIMERS = 300, N_WORKERS = 4, SCRIBBLE = 0x5a };

struct known {
	struct volley_timer timer; /* the first: it is what a callback is given */
	uint64_t at_ns;
	uint64_t slack_ns;
	bool is_set;
	bool is_scribbled; /* its memory is somebody else's, since it has fired */
};

static struct {
	struct known timers[N_TIMERS];
	uint32_t n_inside;
	bool ends; /* in on_stop */
} workers[N_WORKERS];
static struct play *play;
static bool has_any; /* worlds without timers there are, too */
static uint32_t one_of;

void timers_begin(struct play *of)
{
	play = of;
	memset(workers, 0, sizeof workers);
	has_any = world_pick(2) == 0;
	one_of = 1u << world_pick(8);
}

void timers_enter(struct volley_worker *worker)
{
	uint32_t index = volley_worker_get_index(worker);

	if (workers[index].n_inside++ > 0)
		world_blame("a callback comes inside another one");
}

void timers_leave(struct volley_worker *worker)
{
	workers[volley_worker_get_index(worker)].n_inside--;
}

static bool is_zero(const struct volley_timer *timer)
{
	static const uint64_t none[4];

	return memcmp(timer->internal, none, sizeof none) == 0;
}

/* It has fired, and nobody has touched it since. */
static void take_back(struct known *known)
{
	const uint8_t *bytes = (const uint8_t *)&known->timer;

	for (size_t i = 0; known->is_scribbled && i < sizeof known->timer; i++)
		if (bytes[i] != SCRIBBLE)
			world_blame("a timer that has fired is written");
	if (known->is_scribbled)
		memset(&known->timer, 0, sizeof known->timer);
	known->is_scribbled = false;
}

static void fire(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct known *known = (struct known *)(void *)timer;
	uint64_t now_ns = world_now();
	uint32_t slot;

	world_tell("a timer of %llu us fires", (unsigned long long)(known->at_ns / US));
	if (!known->is_set || arg != known)
		world_blame("a timer fires that is not set");
	if (now_ns < known->at_ns || volley_worker_get_now_ns(worker) < known->at_ns)
		world_blame("a timer fires %llu ns early",
			    (unsigned long long)(known->at_ns - now_ns));
	if (volley_worker_get_now_ns(worker) > world_now())
		world_blame("the time of a pass is to come");
	if (!is_zero(timer))
		world_blame("a timer that fires is set");
	if (workers[volley_worker_get_index(worker)].ends)
		world_blame("a timer fires in on_stop, or after it");
	bounds_judge(BOUND_TIMER, known->at_ns, known->slack_ns);
	slot = bounds_enter();
	timers_enter(worker);
	known->is_set = false;
	if (world_pick(2) == 0) {
		known->is_scribbled = true;
		memset(timer, SCRIBBLE, sizeof *timer);
	}
	timers_use(worker, TIMERS_SERVE);
	if (world_pick(4) == 0)
		play_send_by(play, worker);
	timers_leave(worker);
	bounds_leave(slot);
}

static uint64_t draw_delay(void)
{
	switch (world_pick(8)) {
	case 0:
		return 0;
	case 1:
		return world_pick(2000);
	case 2:
		return UINT64_MAX - world_pick(2) * (world_random() >> world_pick(64));
	case 3:
		return world_pick(play->is_lazy ? 2000000000 : 100000000);
	default:
		return world_pick(5000000);
	}
}

/* A fault may take the kernel's timer, or the end has begun. */
static bool is_excused(enum timers_place place, int r)
{
	if (r == -ESHUTDOWN)
		return place == TIMERS_STOP || place == TIMERS_ANY;
	return (r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EPERM) && fault_count() > 0;
}

static void set(struct volley_worker *worker, struct known *known, enum timers_place place,
		uint64_t delay_ns)
{
	uint64_t slack_ns = world_pick(2) == 0 ? 0 : world_pick(3000000);
	uint64_t before_ns = world_now();
	bool was_set;
	int r;

	take_back(known);
	known->timer.fn = fire;
	known->timer.arg = known;
	r = volley_worker_set_timer(worker, &known->timer, delay_ns, slack_ns);
	if (r == -ESHUTDOWN)
		known->is_set = false; /* the stop has cleared all */
	was_set = known->is_set;
	if (r == 0) {
		known->is_set = true;
		known->at_ns = before_ns + delay_ns < before_ns ? UINT64_MAX : before_ns + delay_ns;
		known->slack_ns = slack_ns;
	}
	if (r != 0 && !is_excused(place, r))
		world_blame("a timer is not set: %d", r);
	if (r == 0 && place == TIMERS_STOP)
		world_blame("a timer is set in on_stop");
	if (r != 0 && is_zero(&known->timer) == was_set)
		world_blame("a timer that cannot be set is not as it was");
}

static void clear(struct volley_worker *worker, struct known *known)
{
	take_back(known);
	volley_worker_clear_timer(worker, &known->timer);
	known->is_set = false;
	if (!is_zero(&known->timer))
		world_blame("a timer that is cleared is set");
}

/* Its time is long over, and it has not fired. */
static void judge_lost(struct known *known)
{
	uint64_t wait_ns = known->slack_ns + 1000 * US;

	if (known->is_set && known->at_ns < UINT64_MAX - wait_ns &&
	    world_now() > known->at_ns + wait_ns)
		bounds_judge(BOUND_TIMER, known->at_ns, known->slack_ns);
}

/* All that were set for it are not any more. */
static void forget_all(uint32_t index)
{
	for (uint32_t i = 0; i < N_TIMERS; i++) {
		struct known *known = &workers[index].timers[i];

		take_back(known);
		if (!is_zero(&known->timer))
			world_blame("a stop leaves a timer set");
		known->is_set = false;
	}
}

void timers_use(struct volley_worker *worker, enum timers_place place)
{
	uint32_t index = volley_worker_get_index(worker);
	struct known *timers = workers[index].timers;

	if (place == TIMERS_START || place == TIMERS_STOP) {
		workers[index].ends = place == TIMERS_STOP;
		forget_all(index);
	}
	if (!has_any || play->is_plain || world_pick(one_of) > 0)
		return;
	if (place == TIMERS_SERVE)
		judge_lost(&timers[world_pick(N_TIMERS)]);
	for (uint32_t n = world_pick(4); n > 0; n--) {
		struct known *known = &timers[world_pick(world_pick(2) ? 8 : N_TIMERS)];

		if (world_pick(3) == 0)
			clear(worker, known);
		else
			set(worker, known, place, draw_delay());
	}
	if (world_pick(64) == 0) { /* all at once */
		uint64_t delay_ns = draw_delay();

		for (uint32_t i = 0; i < N_TIMERS; i++)
			set(worker, &timers[i], place, delay_ns);
	}
}

/* libevent's ----------------------------------------------------------------------------------- */

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct volley_worker *worker = arg;
	struct timeval later = { .tv_usec = 1 + (int)world_pick(5000) };

	(void)fd, (void)what;
	play_send_by(play, worker);
	event_add(volley_worker_get_data(worker), &later);
}

void timers_add_event(struct volley_worker *worker)
{
	struct event_base *base = volley_worker_get_event_base(worker);
	struct timeval soon = { .tv_usec = 1 + (int)world_pick(2000) };
	struct event *timer;

	if (base == NULL) {
		if (play->config.wait == VOLLEY_WAIT_EVENT && play->config.event_base == NULL)
			world_blame("a worker has no event_base");
		return;
	}
	timer = event_new(base, -1, 0, on_event, worker);
	if (timer == NULL)
		return;
	volley_worker_set_data(worker, timer);
	event_add(timer, &soon);
}

/* Misuse --------------------------------------------------------------------------------------- */

void timers_misuse(struct volley_worker *worker, int wanted)
{
	static struct volley_timer timer;
	uint32_t n_said = play->n_said;
	int r;

	if (worker == NULL)
		return;
	timer.fn = fire;
	r = volley_worker_set_timer(worker, &timer, 0, 0);
	if (r != wanted)
		world_blame("a timer is set from outside: %d", r);
	if (play->n_said == n_said)
		world_blame("set_timer from outside: no sentence in the log");
	n_said = play->n_said;
	volley_worker_clear_timer(worker,
				  &workers[volley_worker_get_index(worker)].timers[0].timer);
	if (play->n_said == n_said)
		world_blame("clear_timer from outside: no sentence in the log");
	if (volley_worker_get_now_ns(worker) > world_now())
		world_blame("the time is to come");
}

void timers_judge(void)
{
	for (uint32_t i = 0; i < N_WORKERS * N_TIMERS; i++)
		judge_lost(&workers[i / N_TIMERS].timers[i % N_TIMERS]);
}

void timers_end(void)
{
	for (uint32_t i = 0; i < N_WORKERS; i++)
		forget_all(i);
}
