/* SPDX-License-Identifier: MIT */

/*
 * Which loop serves which wait strategy, and the loop that needs nothing at all.
 */

#include "engine/loop.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "engine/backlog.h"
#include "engine/pipeline.h"
#include "engine/server.h"
#include "engine/worker.h"

static const struct vly_loop_ops *const loops[] = {
	[VOLLEY_WAIT_EVENT] = &vly_loop_event_ops,
	[VOLLEY_WAIT_BLOCK] = &vly_loop_block_ops,
	[VOLLEY_WAIT_SPIN] = &vly_loop_spin_ops,
};

const struct vly_loop_ops *vly_loop_get_ops(uint32_t wait)
{
	return loops[wait];
}

int vly_loop_update(struct volley_worker *worker, uint32_t i)
{
	const struct vly_loop_ops *ops = vly_loop_get_ops(worker->server->config.wait);

	return worker->loop != NULL && ops->update != NULL ? ops->update(worker, i) : 0;
}

static void spin_run(struct volley_worker *worker)
{
	uint32_t n_budget = worker->server->config.n_budget;

	while (!vly_worker_test_stop(worker)) {
		vly_worker_take_posts(worker);
		vly_pipeline_set_ready(worker);
		vly_pipeline_run_once(worker, n_budget);
		if (VLY_UNLIKELY(worker->counts.tx_queued > 0))
			vly_backlog_flush(worker, vly_clock_now_ns());
	}
}

const struct vly_loop_ops vly_loop_spin_ops = { .run = spin_run };
