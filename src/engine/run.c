/* SPDX-License-Identifier: MIT */

/*
 * volley_server_run(): for programs that are a server and nothing else. The one place of the
 * library that touches signals (other than the cancellation signal): it blocks them, reads them
 * from a descriptor, and puts the mask
 * back.
 *
 * The first SIGTERM or SIGINT drains, the second stops at once. Both are only commands to the
 * workers, so this thread keeps looking at its descriptors until the last worker has left.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "engine/log.h"
#include "engine/loop.h"
#include "engine/server.h"
#include "engine/worker.h"

void vly_run_wake(struct volley_server *server)
{
	const uint64_t one = 1;
	int saved = errno;

	/* Fails only when the counter is full, and then run wakes anyway. */
	if (write(server->event_fd, &one, sizeof one) < 0)
		errno = saved;
}

static bool is_running(struct volley_server *server)
{
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		if (atomic_load_explicit(&server->workers[i].tid, memory_order_acquire) != 0)
			return true;
	return false;
}

/* Each call of the first kind drains, of the second stops. */
static void leave(struct volley_server *server, uint32_t *n_requests)
{
	if ((*n_requests)++ == 0) {
		vly_server_refuse_new(server);
		vly_server_command(server, VLY_COMMAND_DRAIN);
	} else {
		vly_server_command(server, VLY_COMMAND_STOP);
	}
}

static void take_signals(struct volley_server *server, int signal_fd, uint32_t *n_requests)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof info) == sizeof info) {
		int signo = (int)info.ssi_signo;

		if (server->config.run_signals & VOLLEY_SIGNAL(signo))
			server->config.on_signal(server, signo, server->config.arg);
		else
			leave(server, n_requests);
	}
}

/* Whether request_stop() was called since the last look. */
static bool take_request(struct volley_server *server)
{
	uint32_t run = VLY_RUN_ASKED;

	return atomic_compare_exchange_strong_explicit(&server->run, &run, VLY_RUN_SERVES,
						       memory_order_seq_cst, memory_order_seq_cst);
}

static void serve(struct volley_server *server, int signal_fd)
{
	struct pollfd fds[2] = { { .fd = signal_fd, .events = POLLIN },
				 { .fd = server->event_fd, .events = POLLIN } };
	uint32_t n_requests = 0;
	uint64_t count;

	while (is_running(server)) {
		if (poll(fds, 2, -1) < 0)
			continue; /* EINTR: a signal of somebody else's */
		if (fds[0].revents != 0)
			take_signals(server, signal_fd, &n_requests);
		/* A worker left, or request_stop(): only the latter asks for anything. */
		if (read(server->event_fd, &count, sizeof count) > 0 && take_request(server))
			leave(server, &n_requests);
	}
	/* One that came too late is taken as well: unblocked it would end the process. */
	take_signals(server, signal_fd, &n_requests);
}

static void make_mask(const struct volley_server *server, sigset_t *ret_mask)
{
	sigemptyset(ret_mask);
	sigaddset(ret_mask, SIGTERM);
	sigaddset(ret_mask, SIGINT);
	for (int signo = 1; signo < 64; signo++)
		if (server->config.run_signals & VOLLEY_SIGNAL(signo))
			sigaddset(ret_mask, signo);
}

static int run_locked(struct volley_server *server, int signal_fd)
{
	int r = vly_server_start(server);

	if (r < 0 && r != -EALREADY)
		return r;
	atomic_store_explicit(&server->run_tid, gettid(), memory_order_relaxed); /* for ourselves */
	serve(server, signal_fd);
	atomic_store_explicit(&server->run_tid, 0, memory_order_relaxed);
	vly_server_join(server);
	if (vly_server_test_late(server))
		vly_log_write(
			&server->config, VOLLEY_LOG_WARNING,
			"stopped before every queued datagram was served; the rest is counted as "
			"discarded_at_close");
	return 0;
}

int volley_server_run(struct volley_server *server)
{
	sigset_t mask;
	sigset_t old;
	uint32_t nobody = VLY_RUN_NOBODY;
	int signal_fd;
	int r;

	if (vly_loop_is_callers(&server->config)) {
		vly_log_write(&server->config, VOLLEY_LOG_ERROR,
			      "run: this server is served by a loop of your own: call "
			      "volley_server_start() and run that");
		return -EINVAL;
	}
	if (vly_server_test_inside(server) ||
	    !atomic_compare_exchange_strong_explicit(&server->run, &nobody, VLY_RUN_SERVES,
						     memory_order_seq_cst, memory_order_seq_cst))
		return -EALREADY;
	if (atomic_load_explicit(&server->n_want_stop, memory_order_seq_cst) > 0)
		volley_server_request_stop(server); /* it has not seen us: see lock_to_stop() */
	make_mask(server, &mask);
	pthread_sigmask(SIG_BLOCK, &mask, &old);
	signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	r = signal_fd < 0 ? -errno : 0;
	if (r >= 0) {
		pthread_mutex_lock(&server->control);
		r = run_locked(server, signal_fd);
		pthread_mutex_unlock(&server->control);
		close(signal_fd);
	}
	atomic_store_explicit(&server->run, VLY_RUN_NOBODY, memory_order_seq_cst);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}
