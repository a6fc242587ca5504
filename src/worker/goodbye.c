/* SPDX-License-Identifier: MIT */

/*
 * It comes by mail, so it runs where a post would: between two volleys, and also in a worker that
 * is about to stop. Whoever waits for the last one has the server's event_fd.
 */

#include "worker/goodbye.h"

#include "path/pipeline.h"
#include "sys/wake.h"

void vly_goodbye_send(struct volley_worker *workers, uint32_t n, vly_errand_fn fn)
{
	assert(vly_goodbye_is_over(workers->shared));
	/* relaxed: a push publishes them to the worker; who waits has the lock, or pushed */
	atomic_store_explicit(&workers->shared->has_failed, false, memory_order_relaxed);
	atomic_store_explicit(&workers->shared->n_goodbyes, n, memory_order_relaxed);
	for (uint32_t i = 0; i < n; i++) {
		workers[i].goodbye.fn = fn;
		vly_pipeline_set_called(&workers[i], true);
		vly_mail_push(&workers[i].mail, &workers[i].goodbye.node, VLY_MAIL_GOODBYE);
	}
}

void vly_goodbye_run(struct volley_worker *worker)
{
	struct vly_shared *shared = worker->shared;

	assert(vly_self_is_allowed(&worker->self));
	vly_pipeline_set_called(worker, false);
	if (worker->goodbye.fn(worker, NULL) < 0) /* relaxed: published with the count */
		atomic_store_explicit(&shared->has_failed, true, memory_order_relaxed);
	vly_pipeline_leave(worker); /* before anybody takes it for done */
	/* acq_rel: publishes what was done to whoever finds that it is over */
	if (atomic_fetch_sub_explicit(&shared->n_goodbyes, 1, memory_order_acq_rel) == 1)
		vly_wake_post(shared->event_fd);
}

int vly_goodbye_run_hook(struct volley_worker *worker, void *arg)
{
	const struct volley_config *config = &worker->shared->config;

	(void)arg;
	config->on_drain(worker, config->arg);
	return 0;
}

bool vly_goodbye_is_over(const struct vly_shared *shared)
{
	return atomic_load_explicit(&shared->n_goodbyes, memory_order_acquire) == 0;
}

bool vly_goodbye_has_failed(const struct vly_shared *shared)
{
	assert(vly_goodbye_is_over(shared));
	return atomic_load_explicit(&shared->has_failed, memory_order_relaxed);
}
