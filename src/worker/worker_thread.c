/* SPDX-License-Identifier: MIT */

/*
 * A worker's thread. It is new at each start: it attaches to the cancellation module, begins the
 * worker's life, reports, waits for the verdict over all workers, serves, and leads the life to its
 * end.
 */

#include "worker/worker_thread.h"

#include <stdio.h>

#include <volley/error.h>

#include "base/log.h"
#include "path/gate.h"
#include "sys/wake.h"
#include "worker/life.h"
#include "worker/loop_ops.h"
#include "worker/presence.h"

static int attach(struct volley_worker *worker)
{
	int r = vly_mail_attach(&worker->mail);

	if (r < 0)
		vly_log_write(
			&worker->shared->config, VOLLEY_LOG_ERROR,
			"worker %u cannot be cancellable (rt_sigaction, getpid, gettid, tgkill, "
			"fcntl): %s; if the program uses SIGURG itself, choose another signal with "
			"volley_cancel_init()",
			worker->index, volley_error_name(r));
	return r;
}

static void set_name(const struct volley_worker *worker)
{
	char name[16];

	snprintf(name, sizeof name, "volley-%u", worker->index);
	vly_thread_set_name(name);
}

static void *worker_main(void *arg)
{
	struct volley_worker *worker = arg;
	struct vly_gate *gate = worker->thread.gate;
	int r;

	set_name(worker);
	vly_self_enter(&worker->self);
	r = attach(worker);
	if (r >= 0)
		r = vly_life_begin(worker);
	vly_gate_post(gate, r);
	if (vly_gate_wait(gate) >= 0) {
		vly_life_set_running(worker);
		vly_loop_run(worker);
		vly_life_finish(worker);
	}
	if (r >= 0)
		vly_life_end(worker);
	volley_cancel_detach();
	/* In this order: who finds the worker gone may do its work. */
	vly_self_leave(&worker->self);
	vly_presence_set(worker, false);
	vly_wake_post(worker->shared->event_fd);
	return NULL;
}

int vly_worker_start(struct volley_worker *worker, struct vly_gate *gate)
{
	int r;

	worker->thread.gate = gate;
	vly_life_init(worker);
	vly_presence_set(worker, true);
	r = vly_thread_start(&worker->thread.thread, worker_main, worker);
	if (r < 0) {
		vly_log_write_refused(&worker->shared->config, "a thread (clone3 or clone)", r);
		vly_presence_set(worker, false);
	}
	return r;
}

void vly_worker_join(struct volley_worker *worker)
{
	vly_thread_join(&worker->thread.thread);
}
