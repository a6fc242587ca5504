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
 * is the host's, whose lines stay what they were. A worker's are a line a second at most; of what
 * is left out, the next one tells the number.
 */

#include "worker/loop_new.h"

#include <errno.h>
#include <stdio.h>

#include <event2/event.h>

#include "base/log.h"
#include "path/worker.h"
#include "sys/clock.h"
#include "sys/poll.h"

/* The thread's worker; NULL: there is none. */
static _Thread_local struct volley_worker *speaker;

/* What libevent says once, it may say at each wait: a line a second tells as much. */
enum { LOG_NS = 1000000000 };

static const struct {
	const char *name; /* as libevent writes it */
	enum volley_log_level level;
} severities[] = {
	[EVENT_LOG_DEBUG] = { "debug", VOLLEY_LOG_INFO },
	[EVENT_LOG_MSG] = { "msg", VOLLEY_LOG_INFO },
	[EVENT_LOG_WARN] = { "warn", VOLLEY_LOG_WARNING },
	[EVENT_LOG_ERR] = { "err", VOLLEY_LOG_ERROR },
};

static void say(struct volley_worker *worker, enum volley_log_level level, const char *text)
{
	struct vly_loop *loop = &worker->loop;
	uint64_t now_ns = vly_clock_get_ns();

	if (now_ns < loop->log_ns) {
		loop->n_unsaid++;
		return;
	}
	if (loop->n_unsaid > 0)
		vly_log_write(&worker->shared->config, level,
			      "libevent: %s (and %u lines before, which were left out)", text,
			      loop->n_unsaid);
	else
		vly_log_write(&worker->shared->config, level, "libevent: %s", text);
	loop->log_ns = now_ns + LOG_NS;
	loop->n_unsaid = 0;
}

static void on_log(int severity, const char *text)
{
	int i = severity < EVENT_LOG_DEBUG || severity > EVENT_LOG_ERR ? EVENT_LOG_ERR : severity;

	if (speaker != NULL)
		say(speaker, severities[i].level, text);
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

	speaker = worker;
	event_set_log_callback(on_log);
	vly_lock_take(&worker->shared->lock);
	r = vly_poll_check_room();
	base = r >= 0 ? make() : NULL;
	vly_lock_give(&worker->shared->lock);
	if (base != NULL) {
		*ret_base = base;
		return 0;
	}
	speaker = NULL;
	return fail(worker, r < 0 ? r : -ENOMEM);
}

void vly_loop_free(struct event_base *base)
{
	if (base == NULL)
		return;
	event_base_free(base);
	speaker = NULL;
}
