/* SPDX-License-Identifier: MIT */

/*
 * A thread knows its own number, so whether it is the worker it sees rightly without any order.
 * Whether anybody is needs one: see vly_self_leave().
 */

#include "path/self.h"

#include <assert.h>

void vly_self_enter(struct vly_self *self)
{
	assert(!vly_self_is_taken(self));
	atomic_store_explicit(&self->thread, vly_thread_get_id(), memory_order_relaxed);
}

void vly_self_leave(struct vly_self *self)
{
	assert(vly_self_is_me(self));
	/* release: who finds nobody there finds all that the worker did (vly_self_is_taken()) */
	atomic_store_explicit(&self->thread, 0, memory_order_release);
}

bool vly_self_is_taken(const struct vly_self *self)
{
	return atomic_load_explicit(&self->thread, memory_order_acquire) != 0;
}

bool vly_self_is_me(const struct vly_self *self)
{
	return atomic_load_explicit(&self->thread, memory_order_relaxed) == vly_thread_get_id();
}

bool vly_self_is_allowed(const struct vly_self *self)
{
	vly_thread_id thread = atomic_load_explicit(&self->thread, memory_order_relaxed);

	return thread == 0 || thread == vly_thread_get_id();
}
