/* SPDX-License-Identifier: MIT */

/*
 * The server: workers and listeners, and the transitions of their life.
 *
 *     STOPPED --start--> STARTING --every on_start is done--> RUNNING
 *        ^                  | one failed: all are joined          |
 *        +------------------+------- stop, drain: joined ---------+
 *        +--close--> CLOSED
 *
 * What changes the state holds `control` from beginning to end, so two callers of anything come one
 * after the other; workers never take it. `shared.lock` is for the moments in which a worker, a
 * poster and a reader of statistics meet.
 */

#include "server/server.h"

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/io.h"
#include "server/closing.h"
#include "server/config.h"
#include "server/ending.h"
#include "server/handover/books.h"
#include "server/handover/sharers.h"
#include "server/inside.h"
#include "server/linger.h"
#include "server/listeners.h"
#include "server/needs.h"
#include "sys/clock.h"
#include "sys/socket.h"
#include "sys/wake.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/turn.h"
#include "worker/worker_thread.h"

static void destroy(struct volley_server *server)
{
	vly_sharers_fini(server);
	vly_listeners_fini(server);
	for (uint32_t i = 0; server->workers != NULL && i < server->shared.config.n_workers; i++)
		vly_memory_fini(&server->workers[i]);
	vly_mem_free(server->workers);
	vly_wake_close(server->shared.event_fd);
	vly_gate_fini(&server->gate);
	vly_own_fini(&server->shared.own);
	vly_cond_fini(&server->shared.changed);
	vly_lock_fini(&server->shared.lock);
	vly_lock_fini(&server->grouping);
	vly_lock_fini(&server->listening);
	vly_lock_fini(&server->control);
	vly_process_fini(&server->shared.process);
	vly_mem_free(server);
}

static void init_locks(struct volley_server *server)
{
	vly_lock_init(&server->control);
	vly_lock_init(&server->listening);
	vly_lock_init(&server->grouping);
	vly_lock_init(&server->shared.lock);
	vly_cond_init(&server->shared.changed);
	vly_gate_init(&server->gate);
	vly_own_init(&server->shared.own, &server->shared.config);
}

static int init_workers(struct volley_server *server)
{
	struct vly_shared *shared = &server->shared;
	uint32_t n = shared->config.n_workers;
	int r = 0;

	server->workers = vly_mem_new(shared->config.allocator, n, sizeof *server->workers);
	if (server->workers == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		vly_memory_clear(&server->workers[i], shared, i);
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		r = vly_memory_init(&server->workers[i], server, vly_loop_pick(&shared->config));
	return r;
}

int volley_server_new(const struct volley_config *config, struct volley_server **ret_server)
{
	struct volley_server *server;
	struct volley_config own;
	int r = vly_config_read(config, &own);

	if (r >= 0 && ret_server == NULL) {
		vly_log_write(&own, VOLLEY_LOG_ERROR,
			      "new: ret_server is NULL: pass the address of a pointer");
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	server = vly_mem_new(own.allocator, 1, sizeof *server);
	if (server == NULL) {
		vly_log_write_memory(&own, "new", -ENOMEM);
		return -ENOMEM;
	}
	server->shared.config = own;
	server->started_ms = vly_clock_get_unix_ms();
	init_locks(server);
	server->shared.event_fd = vly_wake_open();
	r = server->shared.event_fd;
	if (r < 0)
		vly_log_write_refused(&own, "eventfd2, or read or write on it,", r);
	if (r >= 0)
		r = vly_process_init(&server->shared.process);
	if (r >= 0)
		r = vly_needs_run(server);
	if (r >= 0)
		r = init_workers(server);
	if (r < 0) {
		vly_log_write_memory(&own, "new", r);
		destroy(server);
		return r;
	}
	*ret_server = server;
	return 0;
}

/* Starting ------------------------------------------------------------------------------------- */

static void set_state(struct volley_server *server, enum vly_server_state state)
{
	vly_lock_take(&server->shared.lock);
	server->state = state;
	vly_lock_give(&server->shared.lock);
}

static int check_start(const struct volley_server *server)
{
	if (server->state == VLY_SERVER_RUNNING)
		return -EALREADY;
	if (vly_listeners_count(server) == 0 || server->state == VLY_SERVER_CLOSED) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "start: there is no socket: call volley_server_listen() first");
		return -ENOTCONN;
	}
	return vly_listeners_check(server);
}

/* Join workers 0 to n - 1, and let go of their handles once no request_stop() can be using them. */
static void join(struct volley_server *server, uint32_t n)
{
	uint32_t n_looks = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct volley_cancel *handle;

		if (vly_loop_has_thread(&server->shared.config))
			vly_worker_join(&server->workers[i]);
		else
			vly_turn_stop(&server->workers[i]);
		handle = vly_mail_detach(&server->workers[i].mail);
		while (atomic_load_explicit(&server->n_stopping, memory_order_seq_cst) > 0)
			vly_thread_yield(n_looks++);
		volley_cancel_unref(handle);
	}
}

static int start_worker(struct volley_server *server, struct volley_worker *worker)
{
	int r;

	if (vly_loop_has_thread(&server->shared.config))
		return vly_worker_start(worker, &server->gate);
	/* Here and now, and a failure is seen at once, as when there is no thread to be had. */
	r = vly_turn_start(worker);
	if (r >= 0)
		vly_gate_post(&server->gate, 0);
	return r;
}

static int start_workers(struct volley_server *server)
{
	uint32_t n = 0;
	int started = 0;
	int r;

	vly_gate_close(&server->gate);
	while (started >= 0 && n < server->shared.config.n_workers) {
		started = start_worker(server, &server->workers[n]);
		if (started >= 0)
			n++;
	}
	r = vly_gate_wait_all(&server->gate, n);
	if (started < 0)
		r = started;
	/* Before they go on: a worker may be asked for posts as soon as it serves. */
	set_state(server, r < 0 ? VLY_SERVER_STOPPED : VLY_SERVER_RUNNING);
	vly_gate_open(&server->gate, r);
	if (r < 0)
		join(server, n);
	return r;
}

static int start_locked(struct volley_server *server)
	VLY_REQUIRES(server->control, server->listening)
{
	int r = check_start(server);

	if (r < 0)
		return r;
	vly_sharers_set_ends(server, false);
	vly_sharers_settle(server);
	vly_listeners_set_drop_all(server, false); /* after an earlier drain */
	vly_ending_clear(server);
	atomic_store_explicit(&server->shared.command, VLY_COMMAND_RUN, memory_order_seq_cst);
	set_state(server, VLY_SERVER_STARTING);
	return start_workers(server);
}

int vly_server_start(struct volley_server *server)
{
	int r;

	vly_lock_take(&server->listening);
	r = start_locked(server);
	vly_lock_give(&server->listening);
	return r;
}

int volley_server_start(struct volley_server *server)
{
	int r = vly_inside_check_home(server, "start");

	if (r < 0)
		return r;
	if (vly_inside_is_any(server) ||
	    atomic_load_explicit(&server->run, memory_order_seq_cst) != VLY_RUN_NOBODY)
		return -EALREADY;
	vly_lock_take(&server->control);
	r = vly_server_start(server);
	vly_log_write_memory(&server->shared.config, "start", r);
	vly_lock_give(&server->control);
	return r;
}

/* Stopping ------------------------------------------------------------------------------------- */

/* The first who asks for so much wakes it. */
bool vly_server_request_run(struct volley_server *server, enum vly_run what)
{
	uint32_t run = atomic_load_explicit(&server->run, memory_order_seq_cst);

	while (run != VLY_RUN_NOBODY && run < (uint32_t)what) {
		if (!atomic_compare_exchange_weak_explicit(&server->run, &run, (uint32_t)what,
							   memory_order_seq_cst,
							   memory_order_seq_cst))
			continue;
		vly_wake_post(server->shared.event_fd);
		return true;
	}
	return run != VLY_RUN_NOBODY;
}

/*
 * Have the workers stop, without a lock. Once they shall, nobody comes here any more, so join()
 * waits for those only who are on their way, however many ask again and again.
 */
static void ask_workers(struct volley_server *server)
{
	if (vly_shared_get_command(&server->shared) == VLY_COMMAND_STOP)
		return;
	atomic_fetch_add_explicit(&server->n_stopping, 1, memory_order_seq_cst);
	vly_ending_request(server, VLY_COMMAND_STOP);
	/* seq_cst: whoever sees 0 may free the handles that were used above */
	atomic_fetch_sub_explicit(&server->n_stopping, 1, memory_order_seq_cst);
}

/*
 * Whoever is inside would wait for itself; and in another process than the one that made the
 * server, nobody is there to wait for.
 */
static int check_outside(const struct volley_server *server, const char *what)
{
	int r = vly_inside_check_home(server, what);

	return r >= 0 && vly_inside_is_any(server) ? -EDEADLK : r;
}

/*
 * `control`, for those who want the workers to end: run holds it for as long as it serves, and a
 * drain for as long as it takes. Either we see that somebody runs, or whoever begins to sees that
 * we wait. False, and why: see check_outside().
 */
static bool lock_to_drain(struct volley_server *server, const char *what, int *ret_error)
	VLY_TRIES(true, server->control)
{
	*ret_error = check_outside(server, what);
	if (*ret_error < 0)
		return false;
	atomic_fetch_add_explicit(&server->n_want_drain, 1, memory_order_seq_cst);
	vly_server_request_run(server, VLY_RUN_SHALL_DRAIN);
	vly_lock_take(&server->control);
	atomic_fetch_sub_explicit(&server->n_want_drain, 1, memory_order_seq_cst);
	return true;
}

static bool lock_to_stop(struct volley_server *server, const char *what, int *ret_error)
	VLY_TRIES(true, server->control)
{
	*ret_error = check_outside(server, what);
	if (*ret_error < 0)
		return false;
	atomic_fetch_add_explicit(&server->n_want_stop, 1, memory_order_seq_cst);
	vly_server_request_run(server, VLY_RUN_SHALL_STOP);
	/* And at once: another thread's drain ends, and run may be in on_signal for long. */
	ask_workers(server);
	vly_lock_take(&server->control);
	atomic_fetch_sub_explicit(&server->n_want_stop, 1, memory_order_seq_cst);
	return true;
}

static void tell_deaf(struct volley_server *server)
{
	bool was_deaf = false;

	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		was_deaf |= vly_mail_take_deaf(&server->workers[i].mail);
	if (was_deaf)
		vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
			      "the program has taken the signal that wakes workers with the wait "
			      "strategy `block` (SIGURG): ours stood in its place until they had "
			      "stopped; choose another one with volley_cancel_init() before the "
			      "start");
}

void vly_server_join(struct volley_server *server)
{
	join(server, server->shared.config.n_workers);
	tell_deaf(server);
	set_state(server, VLY_SERVER_STOPPED);
	vly_wake_post(server->shared.event_fd);
}

bool vly_server_is_late(const struct volley_server *server)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		if (vly_drain_is_late(&server->workers[i].drain))
			return true;
	return false;
}

static void stop_locked(struct volley_server *server) VLY_REQUIRES(server->control)
{
	if (server->state != VLY_SERVER_RUNNING)
		return;
	vly_ending_request(server, VLY_COMMAND_STOP);
	vly_server_join(server);
}

int volley_server_stop(struct volley_server *server)
{
	int r;

	if (!lock_to_stop(server, "stop", &r))
		return r;
	stop_locked(server);
	vly_lock_give(&server->control);
	return 0;
}

int volley_server_drain(struct volley_server *server)
{
	int r;

	if (!lock_to_drain(server, "drain", &r))
		return r;
	if (server->state == VLY_SERVER_RUNNING) {
		vly_linger_begin(server);
		vly_ending_wait(server);
		vly_server_join(server);
	}
	/* Also when it was run that drained, because lock_to_drain() asked it to. */
	r = vly_server_is_late(server) ? -ETIME : 0;
	vly_lock_give(&server->control);
	return r;
}

/* May run in a signal handler: atomics, an eventfd and volley_cancel_request() only. */
int volley_server_request_stop(struct volley_server *server)
{
	if (server == NULL)
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return -ESRCH;
	if (!vly_server_request_run(server, VLY_RUN_SHALL_DRAIN))
		ask_workers(server);
	return 0;
}

int volley_server_close(struct volley_server *server)
{
	int r;

	if (server == NULL)
		return -EINVAL;
	if (!vly_inside_is_home(server)) {
		vly_closing_leave(server);
		return 0;
	}
	if (!lock_to_stop(server, "close", &r))
		return r;
	stop_locked(server);
	vly_listeners_lock_to_end(server);
	if (server->state != VLY_SERVER_CLOSED) {
		vly_sharers_set_ends(server, true);
		vly_closing_close_all(server);
		vly_books_give_back(server);
		vly_sharers_release(server);
		set_state(server, VLY_SERVER_CLOSED);
	}
	vly_listeners_unlock(server);
	vly_lock_give(&server->control);
	return 0;
}

int volley_server_free(struct volley_server *server)
{
	int r;

	if (server == NULL)
		return 0;
	r = volley_server_close(server);
	if (r >= 0)
		destroy(server);
	return r;
}

/* The rest ------------------------------------------------------------------------------------- */

uint32_t volley_server_get_n_workers(const struct volley_server *server)
{
	return server != NULL ? server->shared.config.n_workers : 0;
}

const char *volley_server_get_io(const struct volley_server *server)
{
	return server != NULL ? vly_io_get_name(server->workers[0].io) : NULL;
}
