/* SPDX-License-Identifier: MIT */

/*
 * The server: workers and listeners, and the transitions of their life.
 *
 *     STOPPED --start--> STARTING --every on_start is done--> RUNNING
 *        ^                  | one failed: all are joined          |
 *        +------------------+------- stop, drain: joined ---------+
 *        +--close--> CLOSED
 *
 * What changes the state holds `control` from beginning to end, so two callers of anything come
 * one after the other; workers never take it. `lock` is for the moments in which a worker, a
 * poster and a reader of statistics
 * meet.
 */

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/worker.h"
#include "server/config.h"
#include "server/listeners.h"
#include "server/server.h"
#include "sys/socket.h"
#include "sys/wake.h"

static void destroy(struct volley_server *server)
{
	vly_listeners_fini(server);
	for (uint32_t i = 0; server->workers != NULL && i < server->config.n_workers; i++)
		vly_worker_fini(&server->workers[i]);
	vly_mem_free(server->workers);
	vly_wake_close(server->event_fd);
	vly_cond_fini(&server->changed);
	vly_lock_fini(&server->lock);
	vly_lock_fini(&server->listening);
	vly_lock_fini(&server->control);
	vly_mem_free(server);
}

int volley_server_new(const struct volley_config *config, struct volley_server **ret_server)
{
	struct volley_server *server;
	struct volley_config own;
	int r = vly_config_read(config, &own);

	if (r < 0)
		return r;
	server = vly_mem_new(own.allocator, 1, sizeof *server);
	if (server == NULL)
		return -ENOMEM;
	server->config = own;
	server->event_fd = -1;
	vly_lock_init(&server->control);
	vly_lock_init(&server->listening);
	vly_lock_init(&server->lock);
	vly_cond_init(&server->changed);
	r = vly_probe_run(&server->probe);
	if (r < 0)
		goto fail;
	r = -ENOMEM;
	server->workers = vly_mem_new(own.allocator, own.n_workers, sizeof *server->workers);
	if (server->workers == NULL)
		goto fail;
	for (uint32_t i = 0; i < server->config.n_workers; i++) {
		server->workers[i].event_fd = -1;
		server->workers[i].poll_fd = -1;
		vly_lock_init(&server->workers[i].turn);
	}
	server->event_fd = vly_wake_open();
	r = server->event_fd;
	if (r < 0)
		goto fail;
	for (uint32_t i = 0; i < server->config.n_workers; i++) {
		r = vly_worker_init(&server->workers[i], server, i);
		if (r < 0)
			goto fail;
	}
	*ret_server = server;
	return 0;
fail:
	destroy(server);
	return r;
}

/* Starting ------------------------------------------------------------------------------------- */

static void set_state(struct volley_server *server, enum vly_server_state state)
{
	vly_lock_take(&server->lock);
	server->state = state;
	vly_lock_give(&server->lock);
}

static int check_start(const struct volley_server *server)
{
	if (server->state == VLY_SERVER_RUNNING)
		return -EALREADY;
	if (vly_listeners_count(server) == 0 || server->state == VLY_SERVER_CLOSED) {
		vly_log_write(&server->config, VOLLEY_LOG_ERROR,
			      "start: there is no socket: call volley_server_listen() first");
		return -ENOTCONN;
	}
	if (server->config.wait == VOLLEY_WAIT_BLOCK && server->config.n_handlers > 0) {
		vly_log_write(
			&server->config, VOLLEY_LOG_ERROR,
			"start: the wait strategy `block` sleeps in its socket and cannot wait "
			"for handlers too: use `event`");
		return -EINVAL;
	}
	if (server->config.wait == VOLLEY_WAIT_BLOCK && vly_listeners_count(server) > 1) {
		vly_log_write(
			&server->config, VOLLEY_LOG_ERROR,
			"start: the wait strategy `block` has one socket to sleep in, but there "
			"are %u listeners: use `event`",
			vly_listeners_count(server));
		return -EINVAL;
	}
	return 0;
}

/* Join workers 0 to n - 1, and let go of their handles once no request_stop() can be using them. */
static void join(struct volley_server *server, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct volley_worker *worker = &server->workers[i];
		struct volley_cancel *handle;

		vly_worker_join(worker);
		handle = atomic_exchange_explicit(&worker->handle, NULL, memory_order_seq_cst);
		while (atomic_load_explicit(&server->n_stopping, memory_order_seq_cst) > 0)
			vly_thread_yield();
		volley_cancel_unref(handle);
	}
}

static int start_workers(struct volley_server *server)
{
	uint32_t n = 0;
	int r = 0;

	while (r >= 0 && n < server->config.n_workers) {
		r = vly_worker_start(&server->workers[n]);
		if (r >= 0)
			n++;
	}
	vly_lock_take(&server->lock);
	while (server->n_reported < n)
		vly_cond_wait(&server->changed, &server->lock);
	if (r < 0)
		server->start_result = r;
	r = server->start_result;
	server->state = r < 0 ? VLY_SERVER_STOPPED : VLY_SERVER_RUNNING;
	server->verdict = true;
	vly_cond_wake(&server->changed);
	vly_lock_give(&server->lock);
	if (r < 0)
		join(server, n);
	return r;
}

static int start_locked(struct volley_server *server)
{
	int r = check_start(server);

	if (r < 0)
		return r;
	vly_listeners_set_drop_all(server, false); /* after an earlier drain */
	atomic_store_explicit(&server->command, VLY_COMMAND_RUN, memory_order_seq_cst);
	vly_lock_take(&server->lock);
	server->state = VLY_SERVER_STARTING;
	server->n_reported = 0;
	server->start_result = 0;
	server->verdict = false;
	vly_lock_give(&server->lock);
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
	int r;

	if (vly_server_test_inside(server) ||
	    atomic_load_explicit(&server->run, memory_order_seq_cst) != VLY_RUN_NOBODY)
		return -EALREADY;
	vly_lock_take(&server->control);
	r = vly_server_start(server);
	vly_lock_give(&server->control);
	return r;
}

/* Stopping ------------------------------------------------------------------------------------- */

bool vly_server_test_inside(const struct volley_server *server)
{
	return vly_worker_test_self(server) ||
	       atomic_load_explicit(&server->run_tid, memory_order_relaxed) == vly_thread_get_id();
}

/*
 * `control`, for those who want the workers to end: run holds it for as long as it serves. Either
 * we see that somebody runs, or whoever begins to sees that we wait.
 */
static int lock_to_stop(struct volley_server *server)
{
	if (vly_server_test_inside(server))
		return -EDEADLK;
	atomic_fetch_add_explicit(&server->n_want_stop, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&server->run, memory_order_seq_cst) != VLY_RUN_NOBODY)
		volley_server_request_stop(server);
	vly_lock_take(&server->control);
	atomic_fetch_sub_explicit(&server->n_want_stop, 1, memory_order_seq_cst);
	return 0;
}

void vly_server_command(struct volley_server *server, uint32_t command)
{
	uint32_t old = atomic_load_explicit(&server->command, memory_order_relaxed);

	while (old < command &&
	       !atomic_compare_exchange_weak_explicit(&server->command, &old, command,
						      memory_order_seq_cst, memory_order_relaxed))
		continue;
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		vly_worker_cancel(&server->workers[i]);
}

void vly_server_refuse_new(struct volley_server *server)
{
	vly_listeners_lock_to_end(server);
	vly_listeners_set_drop_all(server, true);
	vly_listeners_unlock(server);
	/* Without it a datagram or two may still arrive behind the last one that a drain serves;
	 * they are then counted as discarded at close. */
	vly_socket_settle();
}

void vly_server_join(struct volley_server *server)
{
	join(server, server->config.n_workers);
	set_state(server, VLY_SERVER_STOPPED);
	vly_run_wake(server);
}

bool vly_server_test_late(const struct volley_server *server)
{
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		if (server->workers[i].drain_late)
			return true;
	return false;
}

static void stop_locked(struct volley_server *server)
{
	if (server->state != VLY_SERVER_RUNNING)
		return;
	vly_server_command(server, VLY_COMMAND_STOP);
	vly_server_join(server);
}

int volley_server_stop(struct volley_server *server)
{
	int r = lock_to_stop(server);

	if (r < 0)
		return r;
	stop_locked(server);
	vly_lock_give(&server->control);
	return 0;
}

int volley_server_drain(struct volley_server *server)
{
	int r = lock_to_stop(server);

	if (r < 0)
		return r;
	if (server->state == VLY_SERVER_RUNNING) {
		vly_server_refuse_new(server);
		vly_server_command(server, VLY_COMMAND_DRAIN);
		vly_server_join(server);
	}
	/* Also when it was run that drained, because lock_to_stop() asked it to. */
	r = vly_server_test_late(server) ? -ETIME : 0;
	vly_lock_give(&server->control);
	return r;
}

/* May run in a signal handler: atomics, an eventfd and volley_cancel_request() only. */
int volley_server_request_stop(struct volley_server *server)
{
	uint32_t run = VLY_RUN_SERVES;

	atomic_fetch_add_explicit(&server->n_stopping, 1, memory_order_seq_cst);
	atomic_compare_exchange_strong_explicit(&server->run, &run, VLY_RUN_ASKED,
						memory_order_seq_cst, memory_order_seq_cst);
	if (run != VLY_RUN_NOBODY)
		vly_run_wake(server);
	else
		vly_server_command(server, VLY_COMMAND_STOP);
	/* seq_cst: whoever sees 0 may free the handles that were used above */
	atomic_fetch_sub_explicit(&server->n_stopping, 1, memory_order_seq_cst);
	return 0;
}

int volley_server_close(struct volley_server *server)
{
	int r = lock_to_stop(server);

	if (r < 0)
		return r;
	stop_locked(server);
	vly_listeners_lock_to_end(server);
	if (server->state != VLY_SERVER_CLOSED)
		vly_listeners_close(server);
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

int volley_server_post(struct volley_server *server, volley_worker_fn fn, void *arg)
{
	uint32_t n = server->config.n_workers;
	const struct volley_allocator *allocator = server->config.allocator;
	struct vly_post **posts = vly_mem_new(allocator, n, sizeof *posts);
	int r = posts != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		posts[i] = vly_mem_new(allocator, 1, sizeof *posts[i]);
		if (posts[i] == NULL)
			r = -ENOMEM;
		else
			*posts[i] = (struct vly_post){ .fn = fn, .arg = arg };
	}
	vly_lock_take(&server->lock);
	/* A stop under way ends posting at once, or those who post in a loop could keep the
	 * workers from the lock that they need to leave. */
	if (r >= 0 &&
	    (server->state != VLY_SERVER_RUNNING ||
	     atomic_load_explicit(&server->command, memory_order_seq_cst) != VLY_COMMAND_RUN))
		r = -ESHUTDOWN;
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		if (server->workers[i].closed)
			r = -ESHUTDOWN;
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		vly_worker_post(&server->workers[i], posts[i]);
	vly_lock_give(&server->lock);
	for (uint32_t i = 0; r < 0 && posts != NULL && i < n; i++)
		vly_mem_free(posts[i]);
	vly_mem_free(posts);
	return r;
}

uint32_t volley_server_get_n_workers(const struct volley_server *server)
{
	return server->config.n_workers;
}

const char *volley_server_get_io(const struct volley_server *server)
{
	return vly_io_get_name(server->workers[0].io);
}
