/* SPDX-License-Identifier: MIT */

/*
 * Wait strategy "spin": no wait. Every socket that is read stands in the list of the ready for
 * good, so a pass looks at each of them.
 */

#include "worker/loop_spin.h"
#include "path/pipeline.h"
#include "worker/chores.h"
#include "worker/timers.h"

static int spin_open(struct volley_worker *worker)
{
	vly_socks_set_all_ready(&worker->socks);
	return 0;
}

static int spin_update(struct volley_worker *worker, struct vly_sock *sock)
{
	(void)worker;
	vly_socks_set_ready(sock, sock->reads && sock->fd >= 0);
	return 0;
}

static void spin_run(struct volley_worker *worker)
{
	uint32_t n_budget = worker->shared->config.n_budget;

	assert(vly_self_is_me(&worker->self));
	while (vly_chores_take_command(worker) < VLY_COMMAND_DRAIN) {
		vly_timers_forget_now(worker);
		vly_chores_take_mail(worker);
		vly_pipeline_run_once(worker, n_budget);
		vly_socks_keep_ready(&worker->socks);
		vly_chores_run_timers(worker);
	}
}

const struct vly_loop_ops vly_loop_spin_ops = {
	.open = spin_open,
	.run = spin_run,
	.update = spin_update,
};
