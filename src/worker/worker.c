/* SPDX-License-Identifier: MIT */

/*
 * A worker: one thread, its sockets, its memory, and its life from start to join.
 *
 * Memory and the eventfd are made with the server and kept over stop and start. The thread is new
 * each time: it attaches to the cancellation module, opens its loop, runs the user's hook,
 * reports to the server, waits for the
 * verdict over all workers, serves, and leaves through the states of enum vly_worker_state.
 *
 * The command is written before the cancellation request, and the worker acknowledges the request
 * before it reads the command: so a request that was acknowledged has been obeyed.
 */

#include <errno.h>
#include <stdio.h>

#include <volley/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/mem.h"
#include "path/backlog.h"
#include "path/handler.h"
#include "path/held.h"
#include "path/pipeline.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/clock.h"
#include "sys/poll.h"
#include "sys/wake.h"
#include "worker/loop.h"
#include "worker/turn.h"

/*
 * How long a stop may wait for full sockets to take the last answers; a stop takes 50 ms at most.
 */
enum { STOP_FLUSH_US = 20000 };

/*
 * Backlog buffers beyond this size are few: answers of that size are fragments of a bulk transfer.
 */
enum { N_LARGE_BUFFERS = 16 };

int vly_worker_init(struct volley_worker *worker, struct volley_server *server, uint32_t index)
{
	const struct volley_config *config = &server->config;
	const struct volley_allocator *allocator = config->allocator;
	const uint32_t n_buffers[VLY_BUFFERS_N_CLASSES] = { config->n_backlog, config->n_backlog,
							    N_LARGE_BUFFERS };
	int r;

	worker->server = server;
	worker->index = index;
	worker->event_fd = vly_wake_open();
	if (worker->event_fd < 0)
		return worker->event_fd;
	if (vly_loop_is_callers(config)) {
		worker->poll_fd = vly_poll_open();
		if (worker->poll_fd < 0)
			return worker->poll_fd;
	}
	vly_inbox_init(&worker->inbox);
	r = vly_slots_init(&worker->slots, allocator, config->n_batch, config->max_datagram_bytes);
	if (r < 0)
		return r;
	worker->ports = vly_mem_new(allocator, VLY_IO_N_PORTS, sizeof *worker->ports);
	worker->views = vly_mem_new(allocator, VLY_N_VIEWS, sizeof *worker->views);
	worker->tx = vly_mem_new(allocator, VLY_N_TX, sizeof *worker->tx);
	worker->coalesce = vly_coalesce_new(allocator, VLY_N_TX);
	worker->arena = vly_mem_map(allocator, config->arena_bytes);
	worker->buffers = vly_buffers_new(allocator, n_buffers);
	if (worker->ports == NULL || worker->views == NULL || worker->tx == NULL ||
	    worker->coalesce == NULL || worker->arena == NULL || worker->buffers == NULL)
		return -ENOMEM;
	worker->memory_bytes = worker->slots.n_payload_bytes + config->arena_bytes;
	for (uint32_t i = 0; i < VLY_BUFFERS_N_CLASSES; i++)
		worker->memory_bytes += (uint64_t)n_buffers[i] * vly_buffers_class_bytes[i];
	for (uint32_t i = 0; i < VLY_IO_N_PORTS; i++)
		worker->ports[i].fd = -1;
	r = vly_remote_init(worker);
	if (r >= 0)
		r = vly_handlers_init(worker);
	if (r < 0)
		return r;
	return vly_io_open(config->io, &worker->slots, &worker->io);
}

void vly_worker_fini(struct volley_worker *worker)
{
	vly_io_close(worker->io);
	vly_handlers_fini(worker);
	vly_remote_fini(worker);
	vly_buffers_free(worker->buffers);
	if (worker->arena != NULL)
		vly_mem_unmap(worker->server->config.allocator, worker->arena,
			      worker->server->config.arena_bytes);
	vly_coalesce_free(worker->coalesce);
	vly_mem_free(worker->tx);
	vly_mem_free(worker->views);
	vly_mem_free(worker->ports);
	vly_slots_fini(&worker->slots);
	vly_poll_close(worker->poll_fd);
	vly_wake_close(worker->event_fd);
	vly_lock_fini(&worker->turn);
}

/* Commands and posts --------------------------------------------------------------------------- */

enum vly_command vly_worker_get_command(const struct volley_worker *worker)
{
	return atomic_load_explicit(&worker->server->command, memory_order_seq_cst);
}

void vly_worker_wake(struct volley_worker *worker)
{
	vly_wake_post(worker->event_fd);
}

void vly_worker_cancel(struct volley_worker *worker)
{
	struct volley_cancel *handle = atomic_load_explicit(&worker->handle, memory_order_seq_cst);

	if (handle != NULL)
		volley_cancel_request(handle); /* -ESRCH: the thread has left already */
	else if (worker->poll_fd >= 0)
		vly_worker_wake(worker);
}

bool vly_worker_test_stop(struct volley_worker *worker)
{
	if (volley_cancel_pending())
		volley_cancel_clear();
	return vly_worker_get_command(worker) != VLY_COMMAND_RUN;
}

void vly_worker_push(struct volley_worker *worker, struct vly_inbox_node *node)
{
	if (!vly_inbox_push(&worker->inbox, node))
		return;
	if (worker->server->config.wait == VOLLEY_WAIT_BLOCK)
		volley_cancel_request(atomic_load_explicit(&worker->handle, memory_order_seq_cst));
	else
		vly_worker_wake(worker);
}

void vly_worker_post(struct volley_worker *worker, struct vly_post *post)
{
	post->node.kind = VLY_MAIL_POST;
	vly_worker_push(worker, &post->node);
}

static void run_post(struct volley_worker *worker, struct vly_post *post)
{
	bool permanent = post->permanent; /* and then somebody's as soon as it has run */

	/* What was taken before it leaves before it: it may close the listener that sends. */
	if (worker->n_tx > 0)
		vly_pipeline_flush(worker);
	post->fn(worker, post->arg);
	if (!permanent)
		vly_mem_free(post);
}

void vly_worker_take_inbox(struct volley_worker *worker)
{
	struct vly_inbox_node *node = vly_inbox_take(&worker->inbox);

	if (VLY_LIKELY(node == NULL))
		return;
	while (node != NULL) {
		struct vly_inbox_node *next = node->next;

		if (node->kind == VLY_MAIL_HANDLER)
			vly_handlers_take(worker, node);
		else if (node->kind == VLY_MAIL_SEND)
			vly_remote_take(worker, VLY_CONTAINER_OF(node, struct vly_buffer, node));
		else
			run_post(worker, VLY_CONTAINER_OF(node, struct vly_post, node));
		node = next;
	}
	vly_pipeline_flush(worker);
}

bool vly_worker_has_timers(const struct volley_worker *worker)
{
	return worker->counts.tx_queued > 0 ||
	       atomic_load_explicit(&worker->remote.n_held, memory_order_relaxed) > 0;
}

int64_t vly_worker_get_timeout(struct volley_worker *worker, uint64_t now_ns)
{
	int64_t backlog_ns = vly_backlog_get_timeout(worker, now_ns);
	uint64_t deadline_ns = vly_held_get_deadline(worker);
	int64_t held_ns = deadline_ns > now_ns ? (int64_t)(deadline_ns - now_ns) : 0;

	if (deadline_ns == 0)
		return backlog_ns;
	return backlog_ns < 0 || held_ns < backlog_ns ? held_ns : backlog_ns;
}

void vly_worker_run_timers(struct volley_worker *worker, uint64_t now_ns)
{
	if (worker->counts.tx_queued > 0)
		vly_backlog_flush(worker, now_ns);
	vly_held_expire(worker, now_ns);
}

bool vly_worker_test_self(const struct volley_server *server)
{
	pid_t self = vly_thread_get_id();

	for (uint32_t i = 0; i < server->config.n_workers; i++)
		if (atomic_load_explicit(&server->workers[i].tid, memory_order_relaxed) == self ||
		    vly_handlers_test_tid(&server->workers[i], self))
			return true;
	return false;
}

/* The thread ----------------------------------------------------------------------------------- */

static void pin(const struct volley_worker *worker)
{
	const struct volley_config *config = &worker->server->config;
	int r;

	if (!(config->flags & VOLLEY_SERVER_PIN))
		return;
	r = vly_thread_pin(worker->index);
	if (r < 0)
		vly_log_write(config, VOLLEY_LOG_WARNING, "worker %u could not be pinned: %s",
			      worker->index, volley_error_name(r));
}

bool vly_worker_is_draining(struct volley_worker *worker)
{
	uint64_t now_ns;

	if (vly_worker_get_command(worker) != VLY_COMMAND_DRAIN)
		return false;
	now_ns = vly_clock_now_ns();
	/* Also in the pass during which the command came: it may be the one that finds the rest. */
	if (worker->drain_end_ns == 0)
		worker->drain_end_ns = now_ns + worker->server->config.drain_us * UINT64_C(1000);
	return now_ns < worker->drain_end_ns;
}

/* Serve what the sockets held when the drain began; the kernel lets nothing new in. */
static bool serve_rest(struct volley_worker *worker)
{
	bool empty = false;

	vly_pipeline_set_ready(worker);
	for (uint32_t i = 0; i < worker->n_ports; i++)
		if (worker->ports[i].keeps)
			worker->ports[i].ready = false; /* nothing keeps it from growing */
	while (!empty) {
		vly_pipeline_run_once(worker, worker->server->config.n_budget);
		vly_worker_take_inbox(worker);
		if (vly_worker_has_timers(worker))
			vly_worker_run_timers(worker, vly_clock_now_ns());
		empty = true;
		for (uint32_t i = 0; i < worker->n_ports; i++)
			empty = empty && !worker->ports[i].ready;
		if (!empty && !vly_worker_is_draining(worker))
			return false;
	}
	return true;
}

/* Wait for handlers to serve what they have, and for held packets to be answered. */
static bool await_rest(struct volley_worker *worker)
{
	vly_handlers_drain(worker);
	for (;;) {
		bool left = vly_handlers_test_left(worker);

		vly_worker_take_inbox(worker);
		vly_worker_run_timers(worker, vly_clock_now_ns());
		if (left && atomic_load_explicit(&worker->remote.n_held, memory_order_relaxed) == 0)
			return true;
		if (!vly_worker_is_draining(worker))
			return false;
		vly_clock_sleep_ns(
			VLY_CLOCK_LOOK_NS); /* ends by time; the inbox is looked at then */
	}
}

static void drain(struct volley_worker *worker)
{
	vly_worker_is_draining(worker); /* from here at the latest its time runs */
	if (!serve_rest(worker) || !await_rest(worker))
		worker->drain_late = true;
}

/* How long the last answers may wait: less when a drain becomes a stop meanwhile. */
static uint64_t get_flush_ns(const struct volley_worker *worker)
{
	bool drain = vly_worker_get_command(worker) == VLY_COMMAND_DRAIN;

	return (drain ? worker->server->config.backlog_us : STOP_FLUSH_US) * UINT64_C(1000);
}

/* Give full sockets a moment to take the answers that wait; then drop them by name. */
static void flush_rest(struct volley_worker *worker)
{
	uint64_t start_ns = vly_clock_now_ns();
	uint64_t now_ns = start_ns;

	while (worker->counts.tx_queued > 0 && now_ns - start_ns < get_flush_ns(worker)) {
		vly_backlog_flush(worker, now_ns);
		if (worker->counts.tx_queued > 0)
			vly_clock_sleep_ns(
				VLY_CLOCK_LOOK_NS); /* ends by time; nothing is waited for */
		now_ns = vly_clock_now_ns();
	}
	vly_backlog_drop(worker, VOLLEY_TX_STOPPED);
	vly_pipeline_publish(worker);
}

void vly_worker_finish(struct volley_worker *worker)
{
	struct volley_server *server = worker->server;

	if (vly_worker_get_command(worker) == VLY_COMMAND_DRAIN)
		drain(worker);
	worker->state = VLY_WORKER_INTAKE_OFF;
	vly_handlers_stop(worker);
	vly_remote_close(worker);
	vly_lock_take(&server->lock);
	worker->closed = true; /* from here on volley_server_post() refuses */
	vly_lock_give(&server->lock);
	vly_worker_take_inbox(worker);
	worker->state = VLY_WORKER_HANDLERS_DONE;
	flush_rest(worker);
	worker->state = VLY_WORKER_FLUSHED;
}

/* Without a thread. A failure is seen at once, as when there is no thread to be had. */
static int start_here(struct volley_worker *worker)
{
	int r = vly_turn_start(worker);

	if (r < 0)
		return r;
	vly_lock_take(&worker->server->lock);
	worker->server->n_reported++;
	vly_lock_give(&worker->server->lock);
	return 0;
}

/* Tell the server how the start went, and wait until it has heard from every worker. */
static bool report(struct volley_worker *worker, int result)
{
	struct volley_server *server = worker->server;
	bool go;

	vly_lock_take(&server->lock);
	server->n_reported++;
	if (result < 0 && server->start_result >= 0)
		server->start_result = result;
	vly_cond_wake(&server->changed);
	while (!server->verdict)
		vly_cond_wait(&server->changed, &server->lock);
	go = server->start_result >= 0;
	vly_lock_give(&server->lock);
	return go;
}

int vly_worker_begin(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->server->config;
	const struct vly_loop_ops *loop = vly_loop_get_ops(config);
	int r = vly_handlers_start(worker);

	if (r >= 0 && worker->poll_fd < 0)
		pin(worker); /* after the handlers, which would inherit it */
	if (r >= 0 && loop->open != NULL)
		r = loop->open(worker);
	if (r >= 0 && config->on_start != NULL) {
		r = config->on_start(worker, config->arg);
		if (r < 0 && loop->close != NULL)
			loop->close(worker);
	}
	if (r >= 0)
		vly_remote_open(worker);
	else
		vly_handlers_stop(worker);
	return r;
}

void vly_worker_end(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->server->config;
	const struct vly_loop_ops *loop = vly_loop_get_ops(config);

	/* Already done, unless another worker's start failed and this one never served. */
	vly_handlers_stop(worker);
	vly_remote_close(worker);
	if (config->on_stop != NULL)
		config->on_stop(worker, config->arg);
	if (loop->close != NULL)
		loop->close(worker);
	worker->state = VLY_WORKER_STOPPED;
}

static int attach(struct volley_worker *worker)
{
	struct volley_cancel *handle;
	int r;

	r = volley_cancel_attach(&handle);
	if (r < 0) {
		vly_log_write(
			&worker->server->config, VOLLEY_LOG_ERROR,
			"worker %u cannot be cancellable: %s; if the program uses SIGURG itself, "
			"choose another signal with volley_cancel_init()",
			worker->index, volley_error_name(r));
		return r;
	}
	volley_cancel_set_waker(worker->event_fd);
	/* seq_cst: publishes the attached thread to volley_server_request_stop() */
	atomic_store_explicit(&worker->handle, handle, memory_order_seq_cst);
	return 0;
}

void vly_worker_set_present(struct volley_worker *worker, bool present)
{
	vly_lock_take(&worker->server->lock);
	worker->present = present;
	vly_cond_wake(&worker->server->changed);
	vly_lock_give(&worker->server->lock);
}

static void *worker_main(void *arg)
{
	struct volley_worker *worker = arg;
	int r;

	atomic_store_explicit(&worker->tid, vly_thread_get_id(),
			      memory_order_relaxed); /* for ourselves */
	r = attach(worker);
	if (r >= 0)
		r = vly_worker_begin(worker);
	if (report(worker, r)) {
		worker->state = VLY_WORKER_RUNNING;
		vly_loop_get_ops(&worker->server->config)->run(worker);
		vly_worker_finish(worker);
	}
	if (r >= 0)
		vly_worker_end(worker);
	volley_cancel_detach();
	vly_worker_set_present(worker, false);
	atomic_store_explicit(&worker->tid, 0, memory_order_relaxed);
	vly_run_wake(worker->server);
	return NULL;
}

int vly_worker_start(struct volley_worker *worker)
{
	char name[16];
	int r;

	worker->n_ports = worker->server->n_listeners;
	worker->drain_late = false;
	worker->drain_end_ns = 0;
	worker->closed = false;
	if (worker->poll_fd >= 0)
		return start_here(worker);
	vly_worker_set_present(worker, true);
	snprintf(name, sizeof name, "volley-%u", worker->index);
	r = vly_thread_start(&worker->thread, name, worker_main, worker);
	if (r < 0)
		vly_worker_set_present(worker, false);
	return r;
}

void vly_worker_join(struct volley_worker *worker)
{
	if (worker->poll_fd >= 0)
		vly_turn_stop(worker);
	else
		vly_thread_join(&worker->thread);
}

uint32_t volley_worker_get_index(const struct volley_worker *worker)
{
	return worker->index;
}

struct volley_server *volley_worker_get_server(const struct volley_worker *worker)
{
	return worker->server;
}

void *volley_worker_get_data(const struct volley_worker *worker)
{
	return worker->data;
}

void volley_worker_set_data(struct volley_worker *worker, void *data)
{
	worker->data = data;
}

struct event_base *volley_worker_get_event_base(const struct volley_worker *worker)
{
	const struct vly_loop_ops *loop = vly_loop_get_ops(&worker->server->config);

	return loop->get_event_base != NULL ? loop->get_event_base(worker) : NULL;
}
