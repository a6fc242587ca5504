/* SPDX-License-Identifier: MIT */

/*
 * What a worker is made of: each owner makes its part. It is made with the server, and kept over
 * stop and start.
 */

#include "worker/memory.h"
#include "base/log.h"
#include "path/backlog.h"
#include "path/handlers.h"
#include "path/held.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/remote.h"
#include "path/send.h"
#include "path/sender.h"
#include "worker/loop_fd.h"
#include "worker/loop_ops.h"
#include "worker/timers.h"
#include "worker/turn.h"

void vly_memory_clear(struct volley_worker *worker, struct vly_shared *shared, uint32_t index)
{
	worker->shared = shared;
	worker->index = index;
	vly_mail_reset(&worker->mail);
	vly_loop_set(worker, NULL);
	vly_socks_init(&worker->socks, shared->config.allocator);
	vly_turn_init(worker);
	vly_timers_init(worker);
}

static enum vly_mail_sleep get_sleep(const struct volley_worker *worker)
{
	if (vly_loop_is_callers(worker))
		return VLY_MAIL_IN_CALLERS;
	return worker->shared->config.wait == VOLLEY_WAIT_BLOCK ? VLY_MAIL_IN_CALL
								: VLY_MAIL_IN_LOOP;
}

/* What was asked for is for payloads: a send's addresses stand in the arena, too. */
static uint32_t get_arena_bytes(const struct volley_config *config)
{
	return config->arena_bytes + VLY_SEND_ROOM_BYTES;
}

static uint64_t count_bytes(const struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;

	return vly_pipeline_count_bytes(worker) + get_arena_bytes(config) +
	       vly_buffers_count_bytes(worker->backlog) + vly_remote_count_bytes(worker) +
	       vly_handlers_count_bytes(worker);
}

static int init_descriptors(struct volley_worker *worker)
{
	const struct volley_config *config = &worker->shared->config;
	int r = vly_mail_init(&worker->mail, get_sleep(worker));

	if (r < 0)
		vly_log_write_refused(config, "eventfd2, or read or write on it,", r);
	if (r < 0 || !vly_loop_is_callers(worker))
		return r;
	r = vly_loop_fd_init(worker);
	if (r < 0)
		vly_log_write_refused(config, "epoll_create1 or epoll_wait", r);
	return r;
}

int vly_memory_init(struct volley_worker *worker, struct volley_server *server,
		    const struct vly_loop_ops *loop)
{
	const struct volley_config *config = &worker->shared->config;
	int r;

	worker->server = server;
	vly_loop_set(worker, loop);
	vly_ledger_init(&worker->books);
	vly_held_init(worker);
	r = init_descriptors(worker);
	if (r >= 0)
		r = vly_pipeline_init(worker);
	if (r >= 0)
		r = vly_arena_init(&worker->arena, config->allocator, get_arena_bytes(config));
	if (r >= 0)
		r = vly_outbox_init(worker);
	if (r >= 0)
		r = vly_sender_init(worker);
	if (r >= 0)
		r = vly_backlog_init(worker);
	if (r >= 0)
		r = vly_remote_init(worker);
	if (r >= 0)
		r = vly_handlers_init(worker);
	worker->memory_bytes = r >= 0 ? count_bytes(worker) : 0;
	return r;
}

void vly_memory_fini(struct volley_worker *worker)
{
	vly_handlers_fini(worker);
	vly_remote_fini(worker);
	vly_backlog_fini(worker);
	vly_sender_fini(worker);
	vly_outbox_fini(worker);
	vly_arena_fini(&worker->arena);
	vly_pipeline_fini(worker);
	vly_socks_fini(&worker->socks);
	vly_timers_fini(worker);
	vly_loop_fd_fini(worker);
	vly_mail_fini(&worker->mail);
	vly_turn_fini(worker);
}
