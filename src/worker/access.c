/* SPDX-License-Identifier: MIT */

/* What the user's hooks and callbacks may ask of their worker. */

#include <volley/server.h>

#include "worker/loop_ops.h"

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
	return vly_loop_get_base(worker);
}
