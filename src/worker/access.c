/* SPDX-License-Identifier: MIT */

/* What the user's hooks and callbacks may ask of their worker. */

#include <errno.h>
#include <limits.h>

#include <volley/loop.h>
#include <volley/send.h>
#include <volley/worker.h>

#include "base/compiler.h"
#include "path/backlog.h"
#include "path/handler.h"
#include "path/outbox.h"
#include "path/packet.h"
#include "path/send.h"
#include "worker/caller.h"
#include "worker/loop_ops.h"
#include "worker/turn.h"

uint32_t volley_worker_get_index(const struct volley_worker *worker)
{
	return worker != NULL ? worker->index : 0;
}

struct volley_server *volley_worker_get_server(const struct volley_worker *worker)
{
	return worker != NULL ? worker->server : NULL;
}

void *volley_worker_get_data(const struct volley_worker *worker)
{
	return worker != NULL ? worker->data : NULL;
}

void volley_worker_set_data(struct volley_worker *worker, void *data)
{
	if (worker != NULL)
		worker->data = data;
}

struct event_base *volley_worker_get_event_base(const struct volley_worker *worker)
{
	return worker != NULL ? vly_loop_get_base(worker) : NULL;
}

/*
 * Four ways to the outbox, by who calls. What the worker adds leaves before it waits, gives up its
 * turn, or ends: vly_pipeline_leave() sees to that. Nobody else adds anything.
 */
int volley_worker_send(struct volley_worker *worker, struct volley_listener listener,
		       const struct volley_addr *peer, const void *data, size_t len,
		       const struct volley_send_options *options)
{
	struct vly_handler *handler;

	if (VLY_UNLIKELY(worker == NULL || peer == NULL || (data == NULL && len > 0)))
		return -EINVAL;
	if (VLY_UNLIKELY(!vly_process_is_here(&worker->shared->process)))
		return -ESRCH;
	if (VLY_LIKELY(vly_self_is_me(&worker->self)))
		return vly_send_add(worker, listener, peer, data, len, options);
	handler = vly_handler_self();
	if (handler != NULL && handler->worker == worker)
		return vly_handler_send(handler, listener, peer, data, len, options);
	if (vly_loop_is_callers(worker))
		return vly_turn_send(worker, listener, peer, data, len, options);
	return vly_send_post(worker, listener, peer, data, len, options);
}

void *volley_worker_send_buffer(struct volley_worker *worker, size_t need, size_t *ret_capacity)
{
	uint32_t capacity;
	void *room;

	if (VLY_UNLIKELY(worker == NULL || need == 0 || need > VLY_MAX_PAYLOAD ||
			 vly_caller_check(worker, "volley_worker_send_buffer") < 0))
		return NULL;
	room = vly_outbox_open_room(worker, (uint32_t)need, &capacity);
	if (room != NULL && ret_capacity != NULL)
		*ret_capacity = capacity;
	return room;
}

int volley_worker_send_many(struct volley_worker *worker, struct volley_listener listener,
			    const struct volley_addr *peers, uint32_t n_peers,
			    const struct volley_payload *payload,
			    const struct volley_send_options *options)
{
	int r;

	if (VLY_UNLIKELY(worker == NULL || (peers == NULL && n_peers > 0) || n_peers > INT_MAX ||
			 payload == NULL || (payload->data == NULL && payload->len > 0)))
		return -EINVAL;
	r = vly_caller_check(worker, "volley_worker_send_many");
	if (VLY_UNLIKELY(r < 0))
		return r;
	return vly_send_add_many(worker, listener, peers, n_peers, payload, options);
}

int volley_worker_get_tx_queued(struct volley_worker *worker, struct volley_listener listener)
{
	int r;

	if (VLY_UNLIKELY(worker == NULL))
		return -EINVAL;
	r = vly_caller_check(worker, "volley_worker_get_tx_queued");
	return VLY_LIKELY(r >= 0) ? vly_backlog_request_room(worker, listener) : r;
}
