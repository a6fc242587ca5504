/* SPDX-License-Identifier: MIT */

/*
 * The chores of a worker: its mail, its timers, its orders.
 *
 * The command is written before the cancellation request, and the worker acknowledges the request
 * before it reads the command: so a request that was acknowledged has been obeyed.
 */

#include "worker/chores.h"
#include "base/compiler.h"
#include "base/mem.h"
#include "path/backlog.h"
#include "path/handlers.h"
#include "path/held.h"
#include "path/icmp.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/remote.h"
#include "sys/clock.h"
#include "worker/errand.h"
#include "worker/goodbye.h"
#include "worker/polled.h"
#include "worker/rest.h"
#include "worker/timers.h"

enum vly_command vly_chores_take_command(struct volley_worker *worker)
{
	if (volley_cancel_pending())
		volley_cancel_clear();
	return vly_shared_get_command(worker->shared);
}

static void run_post(struct volley_worker *worker, struct vly_post *post)
{
	post->fn(worker, post->arg);
	vly_mem_free(post);
}

static void take(struct volley_worker *worker, struct vly_inbox_node *node)
{
	enum vly_mail_kind kind = node->kind;

	/* What came before a function leaves before it: it may close the listener that sends. */
	if (kind == VLY_MAIL_POST || kind == VLY_MAIL_ERRAND || kind == VLY_MAIL_GOODBYE)
		vly_pipeline_leave(worker);
	if (kind == VLY_MAIL_HANDLER)
		vly_handlers_take(worker, node);
	else if (kind == VLY_MAIL_SEND)
		vly_remote_take(worker, node);
	else if (kind == VLY_MAIL_ERRAND)
		vly_errand_run(worker);
	else if (kind == VLY_MAIL_GOODBYE)
		vly_goodbye_run(worker);
	else
		run_post(worker, VLY_CONTAINER_OF(node, struct vly_post, node));
}

void vly_chores_take_mail(struct volley_worker *worker)
{
	struct vly_inbox_node *node = vly_mail_take(&worker->mail);

	assert(vly_self_is_allowed(&worker->self));
	if (VLY_LIKELY(node == NULL))
		return;
	while (node != NULL) {
		struct vly_inbox_node *next = node->next;

		take(worker, node);
		node = next;
	}
	vly_pipeline_flush(worker);
}

bool vly_chores_sleep(struct volley_worker *worker)
{
	assert(vly_outbox_count(worker) == 0);
	return vly_mail_sleep(&worker->mail) && !vly_icmp_has_reports(worker);
}

bool vly_chores_has_timers(const struct volley_worker *worker)
{
	return vly_ledger_get_tx_queued(&worker->books) > 0 || vly_held_has_any(worker) ||
	       vly_rest_has_any(worker) || vly_polled_has_slow(worker);
}

/* The sooner of two; -1 is never. */
static int64_t get_sooner(int64_t a_ns, int64_t b_ns)
{
	if (a_ns < 0 || b_ns < 0)
		return a_ns < 0 ? b_ns : a_ns;
	return a_ns < b_ns ? a_ns : b_ns;
}

static int64_t get_timeout(struct volley_worker *worker, uint64_t now_ns)
{
	uint64_t deadline_ns;
	int64_t ns;

	ns = get_sooner(vly_backlog_get_timeout(worker, now_ns),
			vly_rest_get_timeout(worker, now_ns));
	ns = get_sooner(ns, vly_polled_get_timeout(worker, now_ns));
	deadline_ns = vly_held_get_deadline(worker);
	if (deadline_ns == 0)
		return ns;
	return get_sooner(ns, deadline_ns > now_ns ? (int64_t)(deadline_ns - now_ns) : 0);
}

int64_t vly_chores_get_timeout(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	return vly_chores_has_timers(worker) ? get_timeout(worker, vly_clock_get_ns()) : -1;
}

bool vly_chores_has_any(const struct volley_worker *worker)
{
	return vly_chores_has_timers(worker) || vly_timers_has_any(worker);
}

int64_t vly_chores_get_wait(struct volley_worker *worker)
{
	uint64_t now_ns;
	int64_t ns;

	assert(vly_self_is_allowed(&worker->self));
	if (!vly_chores_has_any(worker))
		return -1;
	now_ns = vly_clock_get_ns();
	ns = vly_chores_has_timers(worker) ? get_timeout(worker, now_ns) : -1;
	return get_sooner(ns, vly_timers_get_timeout(worker, now_ns));
}

static void run_own(struct volley_worker *worker)
{
	uint64_t now_ns = vly_clock_get_ns();

	if (vly_ledger_get_tx_queued(&worker->books) > 0) {
		vly_backlog_flush(worker, now_ns);
		vly_pipeline_flush(worker); /* and publish */
		vly_backlog_process(worker);
		vly_pipeline_leave(worker);
	}
	vly_held_expire(worker, now_ns);
	if (vly_rest_has_any(worker))
		vly_rest_run(worker, now_ns);
}

void vly_chores_run_timers(struct volley_worker *worker)
{
	assert(vly_self_is_allowed(&worker->self));
	if (VLY_UNLIKELY(vly_chores_has_timers(worker)))
		run_own(worker);
	if (VLY_UNLIKELY(vly_timers_has_any(worker)))
		vly_timers_run(worker);
}
