/* SPDX-License-Identifier: MIT */

/*
 * libevent in somebody else's process. Two things that it does are not for a library to do, and
 * both are dealt with here.
 *
 * It calls exit(1) when it cannot have the pipe by which its signal events wake it, and no flag
 * makes a base without one. (A fatal callback is the process's only one, and may not return.) So
 * what a base needs is taken first and given back right before, by one worker at a time. A thread
 * of the host may take the descriptors in that moment: docs/loops.md says so, and what to do.
 *
 * It writes its warnings to stderr. Its log callback is the process's only one and is given nothing
 * to tell callers apart, so each thread remembers whose base it serves. A thread that serves none
 * is the host's, whose lines stay what they were.
 */

#include "worker/loop_new.h"

#include <errno.h>
#include <stdio.h>

#include <event2/event.h>

#include "base/log.h"
#include "path/worker.h"
#include "sys/poll.h"

/* Of the thread's worker; NULL: there is none. */
static _Thread_local const struct volley_config *log_to;

static const struct {
	const char *name; /* as libevent writes it */
	enum volley_log_level level;
} severities[] = {
	[EVENT_LOG_DEBUG] = { "debug", VOLLEY_LOG_INFO },
	[EVENT_LOG_MSG] = { "msg", VOLLEY_LOG_INFO },
	[EVENT_LOG_WARN] = { "warn", VOLLEY_LOG_WARNING },
	[EVENT_LOG_ERR] = { "err", VOLLEY_LOG_ERROR },
};

static void on_log(int severity, const char *text)
{
	int i = severity < EVENT_LOG_DEBUG || severity > EVENT_LOG_ERR ? EVENT_LOG_ERR : severity;

	if (log_to != NULL)
		vly_log_write(log_to, severities[i].level, "libevent: %s", text);
	else
		fprintf(stderr, "[%s] %s\n", severities[i].name, text);
}

static int fail(const struct volley_worker *worker, int error)
{
	vly_log_write_refused(&worker->shared->config,
			      "an event loop (epoll_create1, epoll_ctl, epoll_wait and pipe2, 3 "
			      "descriptors; the wait strategies block, spin and fd have none)",
			      error);
	return error;
}

static struct event_base *make(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int vly_loop_new(struct volley_worker *worker, struct event_base **ret_base)
{
	struct event_base *base;
	int r;

	log_to = &worker->shared->config;
	event_set_log_callback(on_log);
	vly_lock_take(&worker->shared->lock);
	r = vly_poll_check_room();
	base = r >= 0 ? make() : NULL;
	vly_lock_give(&worker->shared->lock);
	if (base != NULL) {
		*ret_base = base;
		return 0;
	}
	log_to = NULL;
	return fail(worker, r < 0 ? r : -ENOMEM);
}

void vly_loop_free(struct event_base *base)
{
	if (base == NULL)
		return;
	event_base_free(base);
	log_to = NULL;
}
