/* SPDX-License-Identifier: MIT */

/*
 * Which loop serves which wait strategy, and the loop that needs nothing at all.
 */

#include "worker/loop.h"
#include "base/compiler.h"
#include "path/pipeline.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/clock.h"

static const struct vly_loop_ops *const loops[] = {
	[VOLLEY_WAIT_EVENT] = &vly_loop_event_ops,
	[VOLLEY_WAIT_BLOCK] = &vly_loop_block_ops,
	[VOLLEY_WAIT_SPIN] = &vly_loop_spin_ops,
	[VOLLEY_WAIT_FD] = &vly_loop_fd_ops,
};

const struct vly_loop_ops *vly_loop_get_ops(const struct volley_config *config)
{
	return config->event_base != NULL ? &vly_loop_base_ops : loops[config->wait];
}

bool vly_loop_is_callers(const struct volley_config *config)
{
	return vly_loop_get_ops(config)->run == NULL;
}

void vly_loop_arm(struct volley_worker *worker)
{
	vly_loop_get_ops(&worker->server->config)->arm(worker);
}

int vly_loop_update(struct volley_worker *worker, uint32_t i)
{
	const struct vly_loop_ops *ops = vly_loop_get_ops(&worker->server->config);
	bool open = worker->loop != NULL || worker->watches;

	return open && ops->update != NULL ? ops->update(worker, i) : 0;
}

static void spin_run(struct volley_worker *worker)
{
	uint32_t n_budget = worker->server->config.n_budget;

	while (!vly_worker_test_stop(worker)) {
		vly_worker_take_inbox(worker);
		vly_pipeline_set_ready(worker);
		vly_pipeline_run_once(worker, n_budget);
		if (VLY_UNLIKELY(vly_worker_has_timers(worker)))
			vly_worker_run_timers(worker, vly_clock_now_ns());
	}
}

const struct vly_loop_ops vly_loop_spin_ops = { .run = spin_run };
