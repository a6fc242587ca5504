/* SPDX-License-Identifier: MIT */

/*
 * volley_server_run(): for programs that are a server and nothing else. The one place of the
 * library that takes signals (other than the cancellation signal): it blocks them, reads them from
 * a descriptor, and puts the mask back.
 *
 * The first SIGTERM or SIGINT drains, the second stops at once; what other threads ask for says
 * which of the two it is. A drain lingers first, which this thread does by the timeout of its poll.
 * To drain has every socket refuse what is new, which takes up to 30 ms; otherwise both are only
 * commands to the workers, and this thread keeps looking at its descriptors until the last worker
 * has left.
 */

#include <errno.h>

#include "base/log.h"
#include "path/worker.h"
#include "server/ending.h"
#include "server/inside.h"
#include "server/linger.h"
#include "server/server.h"
#include "sys/poll.h"
#include "sys/signals.h"
#include "sys/wake.h"
#include "worker/loop.h"

static bool is_running(struct volley_server *server)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		if (vly_self_is_taken(&server->workers[i].self))
			return true;
	return false;
}

/* Politely, or at once. Asking for either again changes nothing. */
static void leave(struct volley_server *server, bool at_once) VLY_REQUIRES(server->control)
{
	if (at_once)
		vly_ending_request(server, VLY_COMMAND_STOP);
	else
		vly_linger_begin(server);
}

static void take_signals(struct volley_server *server, struct vly_signals *signals,
			 uint32_t *n_signals) VLY_REQUIRES(server->control)
{
	int signo;

	while ((signo = vly_signals_take(signals)) > 0) {
		if (server->shared.config.run_signals & VOLLEY_SIGNAL(signo))
			server->shared.config.on_signal(server, signo, server->shared.config.arg);
		else
			leave(server, (*n_signals)++ > 0);
	}
}

/* What other threads and callbacks have asked for since the last look. */
static void take_request(struct volley_server *server) VLY_REQUIRES(server->control)
{
	uint32_t run = atomic_exchange_explicit(&server->run, VLY_RUN_SERVES, memory_order_seq_cst);

	if (run != VLY_RUN_SERVES)
		leave(server, run == VLY_RUN_SHALL_STOP);
}

static void serve(struct volley_server *server, struct vly_signals *signals)
	VLY_REQUIRES(server->control)
{
	struct pollfd fds[2] = { { .fd = signals->fd, .events = POLLIN },
				 { .fd = server->shared.event_fd, .events = POLLIN } };
	uint32_t n_signals = 0;

	while (is_running(server)) {
		vly_ending_process(server);
		if (vly_poll_wait(fds, 2, vly_ending_get_timeout_ms(server)) < 0)
			continue; /* EINTR: a signal of somebody else's; nothing else is told */
		if (fds[0].revents != 0)
			take_signals(server, signals, &n_signals);
		/* A worker left, or somebody asks: only the latter changes anything. */
		if (vly_wake_take(server->shared.event_fd))
			take_request(server);
	}
	/* One that came too late is taken as well: unblocked it would end the process. */
	take_signals(server, signals, &n_signals);
}

static int run_locked(struct volley_server *server, struct vly_signals *signals)
	VLY_REQUIRES(server->control)
{
	int r = vly_server_start(server);

	if (r < 0 && r != -EALREADY)
		return r;
	/* relaxed: only this thread's own look at it matters */
	atomic_store_explicit(&server->run_thread, vly_thread_get_id(), memory_order_relaxed);
	serve(server, signals);
	atomic_store_explicit(&server->run_thread, 0, memory_order_relaxed);
	vly_server_join(server);
	if (vly_server_is_late(server))
		vly_log_write(
			&server->shared.config, VOLLEY_LOG_WARNING,
			"stopped before every queued datagram was served; the rest is counted as "
			"discarded_at_close");
	return 0;
}

int volley_server_run(struct volley_server *server)
{
	struct vly_signals signals;
	uint32_t nobody = VLY_RUN_NOBODY;
	int r;

	r = vly_inside_check_home(server, "run");
	if (r < 0)
		return r;
	if (!vly_loop_has_thread(&server->shared.config)) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "run: this server is served by a loop of your own: call "
			      "volley_server_start() and run that");
		return -EINVAL;
	}
	if (vly_inside_is_any(server) ||
	    !atomic_compare_exchange_strong_explicit(&server->run, &nobody, VLY_RUN_SERVES,
						     memory_order_seq_cst, memory_order_seq_cst))
		return -EALREADY;
	/* Whoever waits for `control` and has not seen us: see lock_to_stop() in server.c. */
	if (atomic_load_explicit(&server->n_want_drain, memory_order_seq_cst) > 0)
		vly_server_request_run(server, VLY_RUN_SHALL_DRAIN);
	if (atomic_load_explicit(&server->n_want_stop, memory_order_seq_cst) > 0)
		vly_server_request_run(server, VLY_RUN_SHALL_STOP);
	r = vly_signals_open(&signals, server->shared.config.run_signals);
	if (r < 0) {
		vly_log_write_refused(&server->shared.config, "signalfd4", r);
		atomic_store_explicit(&server->run, VLY_RUN_NOBODY, memory_order_seq_cst);
		return r;
	}
	vly_lock_take(&server->control);
	r = run_locked(server, &signals);
	vly_lock_give(&server->control);
	/* Before the mask is restored: a signal that comes then is not for a server any more. */
	atomic_store_explicit(&server->run, VLY_RUN_NOBODY, memory_order_seq_cst);
	vly_signals_close(&signals);
	return r;
}
