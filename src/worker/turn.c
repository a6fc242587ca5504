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
 * the turn would never end: a stop has the turn while it waits for the handlers. There is no order
 * of turns: what callbacks may do to a worker that is none of theirs, send and ask for the timeout,
 * waits for no turn. Nothing here is attached to the cancellation module: no call sleeps, so there
 * is nothing to cancel, and a caller's own attachment is left alone. What others want of the worker
 * is written where a thread would find it too (command, mail), and then its eventfd is.
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
#include "worker/timers.h"

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

static bool try_take(struct volley_worker *worker) VLY_TRIES(true, worker->turn.lock)
{
	if (!vly_lock_try_take(&worker->turn.lock))
		return false;
	vly_self_enter(&worker->self);
	return true;
}

void vly_turn_give(struct volley_worker *worker)
{
	vly_self_leave(&worker->self);
	vly_lock_give(&worker->turn.lock);
}

/*
 * In a turn, before the inbox is taken: what comes from now on need not go there any more.
 *
 * acq_rel, as in send_late(): all of these are exchanges, so whoever takes the flag away finds in
 * the inbox what anybody pushed before it was set.
 */
static void clear_late(struct volley_worker *worker)
{
	atomic_exchange_explicit(&worker->turn.has_late, false, memory_order_acq_rel);
}

static bool has_late(const struct volley_worker *worker)
{
	return atomic_load_explicit(&worker->turn.has_late, memory_order_relaxed);
}

/* The end of a turn: what was to be sent has left, and what is to be done will be noticed. */
static void arm(struct volley_worker *worker)
{
	vly_pipeline_leave(worker);
	if (vly_life_is_running(worker))
		vly_loop_arm(worker);
}

/*
 * The same of a turn that is not the loop's own. The loop may be asleep on another thread, for as
 * long as it was told before; if anything is to be done by the clock now, it has to ask again.
 */
static void arm_for_others(struct volley_worker *worker)
{
	arm(worker);
	if (vly_life_is_running(worker) && vly_chores_has_any(worker))
		vly_mail_wake(&worker->mail);
}

int vly_turn_start(struct volley_worker *worker)
{
	int r;

	vly_life_init(worker);
	vly_turn_take(worker);
	clear_late(worker);
	r = vly_life_begin(worker);
	if (r >= 0) {
		vly_life_set_running(worker);
		vly_presence_set(worker, true);
		arm_for_others(worker);
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
		clear_late(worker);
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
		clear_late(worker);
		vly_timers_forget_now(worker);
		vly_mail_awake(&worker->mail);
		vly_chores_take_mail(worker);
	}
	r = fn(worker, arg);
	vly_pipeline_leave(worker);
	if (runs)
		vly_chores_run_timers(worker);
	arm_for_others(worker);
	vly_turn_give(worker);
	return r;
}

/*
 * In a turn. The first one wakes; it stays so until the next turn, which sends them all. One that
 * is refused wakes nobody, so it is published here, unless its socket has others that wait.
 */
static int send_now(struct volley_worker *worker, struct volley_listener listener,
		    const struct volley_addr *peer, const void *data, size_t len,
		    const struct volley_send_options *options)
{
	bool had_any = vly_outbox_count(worker) > 0;
	int r = vly_send_add(worker, listener, peer, data, len, options);

	if (r < 0 && vly_ledger_has_changed(&worker->books))
		vly_pipeline_publish(worker);
	if (!had_any && vly_outbox_count(worker) > 0)
		vly_mail_wake(&worker->mail);
	return r;
}

/* Without the turn: by the inbox, which wakes, and which the end of the turn looks into. */
static int send_late(struct volley_worker *worker, struct volley_listener listener,
		     const struct volley_addr *peer, const void *data, size_t len,
		     const struct volley_send_options *options)
{
	int r = vly_send_post(worker, listener, peer, data, len, options);

	/* acq_rel: publishes that the inbox has it, see clear_late() */
	if (r >= 0)
		atomic_exchange_explicit(&worker->turn.has_late, true, memory_order_acq_rel);
	return r;
}

/*
 * It waits for no turn. Whoever calls may be in the turn of another worker, or be a handler of one,
 * or have a lock of the user's: those who have this turn may wait for that. What goes by the inbox
 * leaves with the next turn, behind what lies in the outbox; so once one of a thread has gone that
 * way, its next one does, too.
 */
int vly_turn_send(struct volley_worker *worker, struct volley_listener listener,
		  const struct volley_addr *peer, const void *data, size_t len,
		  const struct volley_send_options *options)
{
	int r = -ESHUTDOWN;
	bool is_late;

	if (!try_take(worker))
		return send_late(worker, listener, peer, data, len, options);
	is_late = has_late(worker);
	if (!is_late && vly_life_is_running(worker))
		r = send_now(worker, listener, peer, data, len, options);
	vly_turn_give(worker);
	return is_late ? send_late(worker, listener, peer, data, len, options) : r;
}

/* Not in a turn: some wait for the next one. */
static bool has_sends(const struct volley_worker *worker)
{
	return vly_outbox_count(worker) > 0 || has_late(worker);
}

/*
 * It waits for nobody: a handler may ask while a stop has the turn, which waits for that handler,
 * and so may the callback of another worker whose turn somebody waits for.
 */
int64_t vly_turn_get_timeout(struct volley_worker *worker)
{
	int64_t ns = -1;

	if (vly_self_is_me(&worker->self))
		return vly_chores_get_wait(worker);
	if (!vly_lock_try_take(&worker->turn.lock))
		return 0; /* whoever needs to know waits for the turn, and then asks again */
	if (vly_life_is_running(worker))
		ns = has_sends(worker) ? 0 : vly_chores_get_wait(worker);
	vly_lock_give(&worker->turn.lock);
	return ns;
}
