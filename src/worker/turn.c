/* SPDX-License-Identifier: MIT */

/*
 * Workers without a thread: the loop is the caller's (wait strategy "fd", or an event_base of the
 * caller's). What a worker's thread does in a row is cut into turns, and whoever has the turn is
 * the worker until it gives it back: whoever starts, each call of process, whoever stops.
 *
 *     start: | begin, arm |    process: | serve, arm | ...    stop: | finish, end |
 *
 * A lock makes turns of one worker follow one another, so these calls may come from any thread. The
 * worker's thread number and its handlers' mark the calls that come from inside, where waiting for
 * the turn would never end: a stop has the turn while it waits for the handlers. Nothing here is attached to the cancellation module: no call sleeps, so there is
 * nothing to cancel, and a caller's own attachment is left alone. What others want of the worker is
 * written where a thread would find it too (command, mail), and then its eventfd is.
 */

#include "worker/turn.h"

#include <errno.h>

#include "path/handlers.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/send.h"
#include "worker/chores.h"
#include "worker/life.h"
#include "worker/loop_fd.h"
#include "worker/loop_ops.h"
#include "worker/presence.h"

void vly_turn_init(struct volley_worker *worker)
{
	vly_lock_init(&worker->turn.lock);
}

void vly_turn_fini(struct volley_worker *worker)
{
	vly_lock_fini(&worker->turn.lock);
}

void vly_turn_take(struct volley_worker *worker)
{
	assert(!vly_self_is_me(&worker->self));
	vly_lock_take(&worker->turn.lock);
	vly_self_enter(&worker->self);
}

void vly_turn_give(struct volley_worker *worker)
{
	vly_self_leave(&worker->self);
	vly_lock_give(&worker->turn.lock);
}

/* The end of a turn: what was to be sent has left, and what is to be done will be noticed. */
static void arm(struct volley_worker *worker)
{
	vly_pipeline_leave(worker);
	if (vly_life_is_running(worker))
		vly_loop_arm(worker);
}

int vly_turn_start(struct volley_worker *worker)
{
	int r;

	vly_life_init(worker);
	vly_turn_take(worker);
	r = vly_life_begin(worker);
	if (r >= 0) {
		vly_life_set_running(worker);
		vly_presence_set(worker, true);
		arm(worker);
	}
	vly_turn_give(worker);
	return r;
}

/* In a turn. */
static void leave(struct volley_worker *worker)
{
	assert(vly_self_is_me(&worker->self));
	vly_life_finish(worker);
	vly_life_end(worker);
	vly_presence_set(worker, false);
}

void vly_turn_stop(struct volley_worker *worker)
{
	vly_turn_take(worker);
	if (vly_life_is_running(worker))
		leave(worker);
	vly_turn_give(worker);
}

int vly_turn_process(struct volley_worker *worker)
{
	int r = -ESHUTDOWN;

	if (vly_handlers_is_inside(worker))
		return -EDEADLK;
	vly_turn_take(worker);
	if (vly_life_is_running(worker)) {
		r = vly_loop_fd_process(worker);
		if (r >= 0)
			arm(worker);
		else
			leave(worker);
	}
	vly_turn_give(worker);
	return r;
}

/*
 * A caller who waits for something (a drain, a handler) keeps its own loop from its passes. So what
 * came from other threads is taken here too, and what waits by the clock is done.
 */
int vly_turn_run(struct volley_worker *worker, vly_errand_fn fn, void *arg)
{
	bool runs;
	int r;

	vly_turn_take(worker);
	runs = vly_life_is_running(worker);
	if (runs) {
		vly_mail_awake(&worker->mail);
		vly_chores_take_mail(worker);
	}
	r = fn(worker, arg);
	vly_pipeline_leave(worker);
	if (runs)
		vly_chores_run_timers(worker);
	arm(worker);
	vly_turn_give(worker);
	return r;
}

/* The first one wakes; it stays so until the next turn, which sends them all. */
int vly_turn_send(struct volley_worker *worker, uint32_t listener_index,
		  const struct volley_addr *peer, const struct volley_addr *local, const void *data,
		  size_t len)
{
	bool had_any;
	int r = -ESHUTDOWN;

	vly_turn_take(worker);
	had_any = vly_outbox_count(worker) > 0;
	if (vly_life_is_running(worker))
		r = vly_send_add(worker, listener_index, peer, local, data, len);
	if (!had_any && vly_outbox_count(worker) > 0)
		vly_mail_wake(&worker->mail);
	vly_turn_give(worker);
	return r;
}

/*
 * It waits for nobody: a handler may ask while a stop has the turn, which waits for that handler,
 * and so may the callback of another worker whose turn somebody waits for.
 */
int64_t vly_turn_get_timeout(struct volley_worker *worker)
{
	int64_t ns = -1;

	if (vly_self_is_me(&worker->self))
		return vly_chores_get_timeout(worker);
	if (!vly_lock_try_take(&worker->turn.lock))
		return 0; /* whoever needs to know waits for the turn, and then asks again */
	if (vly_outbox_count(worker) > 0)
		ns = 0;
	else if (vly_life_is_running(worker))
		ns = vly_chores_get_timeout(worker);
	vly_lock_give(&worker->turn.lock);
	return ns;
}
