/* SPDX-License-Identifier: MIT */

/* A worker has one errand at a time: whoever sends rounds waits for the end of each. */

#include "worker/errand.h"

#include "path/pipeline.h"

void vly_errand_send(struct volley_worker *worker, struct vly_round *round)
{
	worker->errand.round = round;
	vly_pipeline_set_called(worker, true);
	vly_mail_push(&worker->mail, &worker->errand.node, VLY_MAIL_ERRAND);
}

void vly_errand_run(struct volley_worker *worker)
{
	struct vly_shared *shared = worker->shared;
	struct vly_round *round = worker->errand.round;
	int r;

	vly_pipeline_set_called(worker, false);
	r = round->fn(worker, round->arg);

	vly_lock_take(&shared->lock);
	assert(round->n_left > 0);
	if (r < 0)
		round->result = r;
	if (--round->n_left == 0)
		vly_cond_wake(&shared->changed);
	vly_lock_give(&shared->lock);
}
