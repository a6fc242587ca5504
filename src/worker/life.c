/* SPDX-License-Identifier: MIT */

/*
 * The life of a worker, which its thread (worker_thread.c) or whoever has its turn (turn.c) leads:
 *
 *     STOPPED --begin, set_running--> RUNNING --the loop ends, drained--> INTAKE_OFF
 *        ^                                                                    |
 *        +--end-- FLUSHED <--replies left or dropped-- HANDLERS_DONE <--------+
 *
 * After begin a worker whose start was called off goes to its end at once.
 */

#include "worker/life.h"

#include <volley/error.h>

#include "base/log.h"
#include "path/backlog.h"
#include "path/handlers.h"
#include "path/held.h"
#include "path/icmp.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/remote.h"
#include "sys/clock.h"
#include "worker/chores.h"
#include "worker/loop_ops.h"
#include "worker/presence.h"
#include "worker/timers.h"

/* How long a stop may wait for full sockets to take the last replies. */
enum { STOP_FLUSH_US = 20000 };

/* Forward by one step, or back to the beginning. */
static void set_state(struct volley_worker *worker, enum vly_life_state state)
{
	assert(state == VLY_LIFE_STOPPED || state == worker->life.state + 1);
	assert(vly_self_is_allowed(&worker->self));
	assert(state != VLY_LIFE_STOPPED || vly_outbox_count(worker) == 0);

	worker->life.state = state;
}

void vly_life_init(struct volley_worker *worker)
{
	vly_presence_init(worker);
	vly_drain_init(&worker->drain);
}

/* Beginning ------------------------------------------------------------------------------------ */

static void pin(const struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;
	int r;

	if (!(config->flags & VOLLEY_SERVER_PIN) || vly_loop_is_callers(worker))
		return;
	r = vly_thread_pin(worker->index);
	if (r < 0)
		vly_log_write(config, VOLLEY_LOG_WARNING, "worker %u could not be pinned: %s",
			      worker->index, volley_error_name(r));
}

/*
 * What the user's last hook has sent leaves, or is dropped by name: nobody is there to wait. And
 * nobody is called any more.
 */
static void flush_last(struct volley_worker *worker)
{
	vly_icmp_set_silent(worker, true);
	vly_pipeline_flush(worker);
	vly_backlog_drop(worker, VOLLEY_TX_STOPPED);
	vly_pipeline_publish(worker);
}

/* The end of what begin has opened. */
static void leave(struct volley_worker *worker)
{
	vly_timers_close(worker);
	flush_last(worker);
	vly_loop_close(worker);
	vly_timers_end(worker);
}

int vly_life_begin(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;
	int r = vly_handlers_start(worker);

	assert(worker->life.state == VLY_LIFE_STOPPED);
	vly_socks_set_drains(&worker->socks, false);
	if (r >= 0)
		pin(worker); /* after the handlers, which would inherit it */
	if (r >= 0)
		r = vly_loop_open(worker);
	vly_icmp_set_silent(worker, false);
	if (r >= 0) {
		vly_timers_open(worker);
		r = config->on_start != NULL ? config->on_start(worker, config->arg) : 0;
		if (r < 0)
			leave(worker);
	}
	if (r >= 0)
		vly_remote_open(worker);
	else
		vly_handlers_stop(worker);
	return r;
}

void vly_life_set_running(struct volley_worker *worker)
{
	set_state(worker, VLY_LIFE_RUNNING);
	vly_pipeline_flush(worker); /* what on_start has sent */
}

bool vly_life_is_running(const struct volley_worker *worker)
{
	return worker->life.state == VLY_LIFE_RUNNING;
}

/* Ending --------------------------------------------------------------------------------------- */

/* Nothing keeps a socket from growing that is somebody else's too. */
static void leave_kept(struct volley_worker *worker)
{
	struct vly_sock *sock = vly_socks_get_ready(&worker->socks);

	for (; sock != NULL; sock = vly_socks_get_next_ready(sock))
		if (sock->is_kept)
			vly_socks_set_ready(sock, false);
}

/* Serve what the sockets held when the drain began; the kernel lets nothing new in. */
static bool serve_rest(struct volley_worker *worker)
{
	vly_socks_set_drains(&worker->socks, true);
	vly_socks_set_all_ready(&worker->socks);
	leave_kept(worker);
	for (;;) {
		uint32_t n;

		vly_timers_forget_now(worker);
		n = vly_pipeline_run_once(worker, worker->shared->config.n_budget);
		vly_chores_take_mail(worker);
		vly_chores_run_timers(worker);
		if (!vly_socks_has_ready(&worker->socks))
			return true;
		if (!vly_drain_is_on(worker->shared))
			return false;
		if (n == 0 && vly_handlers_has_any(worker) && vly_handlers_count_room(worker) == 0)
			vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* handlers go on meanwhile */
	}
}

/* Wait for handlers to serve what they have, and for held packets to be replied to. */
static bool await_rest(struct volley_worker *worker)
{
	vly_handlers_drain(worker);
	for (;;) {
		bool left = vly_handlers_has_left(worker);

		vly_timers_forget_now(worker);
		vly_chores_take_mail(worker);
		vly_chores_run_timers(worker);
		if (left && !vly_held_has_any(worker))
			return true;
		if (!vly_drain_is_on(worker->shared))
			return false;
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* the mail is looked at then */
	}
}

static void drain(struct volley_worker *worker)
{
	assert(worker->life.state == VLY_LIFE_RUNNING);
	if (!serve_rest(worker) || !await_rest(worker))
		vly_drain_set_late(&worker->drain);
}

static bool drains(const struct volley_worker *worker)
{
	return vly_shared_get_command(worker->shared) == VLY_COMMAND_DRAIN;
}

/*
 * Whether the last replies may wait longer. In a drain as long as any, but its time is over when it
 * is over; a stop gives them a moment, also one that cuts a drain short.
 */
static bool may_wait(const struct volley_worker *worker, uint64_t waited_ns)
{
	if (!drains(worker))
		return waited_ns < vly_clock_convert_us(STOP_FLUSH_US);
	return waited_ns < vly_clock_convert_us(worker->shared->config.backlog_us) &&
	       vly_drain_is_on(worker->shared);
}

/* Give full sockets a moment to take the replies that wait; then drop them by name. */
static void flush_rest(struct volley_worker *worker)
{
	uint64_t start_ns = vly_clock_get_ns();
	uint64_t now_ns = start_ns;

	while (vly_ledger_get_tx_queued(&worker->books) > 0 &&
	       may_wait(worker, now_ns - start_ns)) {
		vly_backlog_flush(worker, now_ns);
		vly_pipeline_flush(worker); /* and publish */
		if (vly_ledger_get_tx_queued(&worker->books) > 0)
			vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS);
		now_ns = vly_clock_get_ns();
	}
	if (vly_ledger_get_tx_queued(&worker->books) > 0 && drains(worker) &&
	    !vly_drain_is_on(worker->shared))
		vly_drain_set_late(&worker->drain);
	vly_backlog_drop(worker, VOLLEY_TX_STOPPED);
	vly_pipeline_publish(worker);
}

/* Handlers end, and nobody can reply or send from outside any more. */
static void stop_others(struct volley_worker *worker)
{
	vly_handlers_stop(worker);
	vly_held_abandon(worker);
	vly_remote_close(worker);
}

void vly_life_finish(struct volley_worker *worker)
{
	if (drains(worker))
		drain(worker);
	else if (vly_drain_is_asked(worker->shared))
		vly_drain_set_late(&worker->drain); /* a stop came before it */
	set_state(worker, VLY_LIFE_INTAKE_OFF);
	vly_timers_close(worker);
	stop_others(worker);
	vly_presence_close(worker); /* from here on volley_server_post() refuses */
	vly_chores_take_mail(worker);
	vly_pipeline_flush(worker);
	set_state(worker, VLY_LIFE_HANDLERS_DONE);
	flush_rest(worker);
	set_state(worker, VLY_LIFE_FLUSHED);
}

void vly_life_end(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;

	assert(worker->life.state == VLY_LIFE_FLUSHED || worker->life.state == VLY_LIFE_STOPPED);
	/* Already done, unless another worker's start failed and this one never served. */
	vly_timers_close(worker);
	stop_others(worker);
	vly_chores_take_mail(worker); /* what was handed over meanwhile */
	vly_timers_forget_now(worker);
	if (config->on_stop != NULL)
		config->on_stop(worker, config->arg);
	leave(worker);
	set_state(worker, VLY_LIFE_STOPPED);
}
