/* SPDX-License-Identifier: MIT */

/*
 * Some functions have no way for other threads, as volley_worker_send() has: what they give or take
 * is the worker's own, without a lock.
 */

#include "worker/caller.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/log.h"

int vly_caller_check(const struct volley_worker *worker, const char *what)
{
	const struct volley_config *config = &worker->shared->config;

	if (VLY_UNLIKELY(!vly_process_is_here(&worker->shared->process))) {
		vly_log_write(config, VOLLEY_LOG_ERROR,
			      "%s: this process was forked after the server was made, and has no "
			      "worker",
			      what);
		return -ESRCH;
	}
	if (VLY_LIKELY(vly_self_is_me(&worker->self)))
		return 0;
	vly_log_write(config, VOLLEY_LOG_ERROR,
		      "%s: this is not the thread of worker %u: callbacks (not those of handlers), "
		      "hooks, posts and timers are; volley_server_post() runs a function there",
		      what, worker->index);
	return -EPERM;
}
