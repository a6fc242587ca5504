/* SPDX-License-Identifier: MIT */

/* Two flags under the shared lock, and the condition that goes with it. */

#include "worker/presence.h"

void vly_presence_init(struct volley_worker *worker)
{
	vly_lock_take(&worker->shared->lock);
	worker->presence.is_closed = false;
	vly_lock_give(&worker->shared->lock);
}

void vly_presence_set(struct volley_worker *worker, bool is_here)
{
	vly_lock_take(&worker->shared->lock);
	worker->presence.is_here = is_here;
	vly_cond_wake(&worker->shared->changed);
	vly_lock_give(&worker->shared->lock);
}

void vly_presence_close(struct volley_worker *worker)
{
	vly_lock_take(&worker->shared->lock);
	worker->presence.is_closed = true;
	vly_lock_give(&worker->shared->lock);
}

bool vly_presence_is_here(const struct volley_worker *worker)
{
	return worker->presence.is_here;
}

bool vly_presence_is_open(const struct volley_worker *worker)
{
	return worker->presence.is_here && !worker->presence.is_closed;
}
