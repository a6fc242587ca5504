/* SPDX-License-Identifier: MIT */

/*
 * The thread's own side: enabled or not, regions, and what a cancellation point returns.
 *
 * A thread is armed when it is enabled and no region is committed. Disarmed, it blocks the signal,
 * so that not even a poll-like call is interrupted, and its calls test a flag that is never set.
 * The order in which the two change is such that a handler that runs in between finds an armed
 * thread: block then disarm, arm then unblock. With a request pending the signal stays blocked: the
 * flag alone stops the next call, and the clear unblocks.
 *
 * These functions may run in a signal handler of the application on top of themselves, provided
 * that it undoes what it does: each reads everything anew after its last store.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include <volley/cancel.h>

#include "cancel/cancel_ops.h"

static void mask_change(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, vly_cancel_get_signo());
	pthread_sigmask(how, &set, NULL);
}

void vly_cancel_apply(struct volley_cancel *self)
{
	bool armed = atomic_load_explicit(&self->state, memory_order_relaxed) ==
			     VOLLEY_CANCEL_ENABLE &&
		     atomic_load_explicit(&self->committed, memory_order_relaxed) == 0;

	if (armed == vly_cancel_is_armed(self))
		return;
	if (!armed && vly_cancel_unblocks)
		mask_change(SIG_BLOCK);
	atomic_store_explicit(&self->armed, armed, memory_order_relaxed);
	if (armed && vly_cancel_unblocks && !vly_cancel_is_requested(self))
		mask_change(SIG_UNBLOCK);
}

long vly_cancel_finish(struct volley_cancel *self, long r)
{
	if ((r != -EINTR && r != -ECANCELED) || !vly_cancel_is_armed(self) ||
	    !vly_cancel_is_requested(self))
		return r;
	if (atomic_load_explicit(&self->exits, memory_order_relaxed) &&
	    atomic_load_explicit(&self->depth, memory_order_relaxed) == 0) {
		volley_cancel_detach();
		pthread_exit(PTHREAD_CANCELED);
	}
	return -ECANCELED;
}

int volley_cancel_pending(void)
{
	return vly_cancel_thread != NULL && vly_cancel_is_requested(vly_cancel_thread);
}

int volley_cancel_test(void)
{
	struct volley_cancel *self = vly_cancel_thread;

	return vly_cancel_is_armed(self) && vly_cancel_is_requested(self) ? -ECANCELED : 0;
}

int volley_cancel_set_state(enum volley_cancel_state state, enum volley_cancel_state *ret_old)
{
	struct volley_cancel *self = vly_cancel_thread;
	int old;

	if (self == NULL)
		return -ESRCH;
	if (state != VOLLEY_CANCEL_ENABLE && state != VOLLEY_CANCEL_DISABLE)
		return -EINVAL;
	old = atomic_exchange_explicit(&self->state, (int)state, memory_order_relaxed);
	vly_cancel_apply(self);
	if (ret_old != NULL)
		*ret_old = (enum volley_cancel_state)old;
	return 0;
}

int volley_cancel_set_exit(int on)
{
	if (vly_cancel_thread == NULL)
		return -ESRCH;
	atomic_store_explicit(&vly_cancel_thread->exits, on != 0, memory_order_relaxed);
	return 0;
}

/* A function that may be used in a thread that is not attached: there regions are nothing. */
int volley_cancel_enter(void)
{
	int r = volley_cancel_test();

	if (r < 0)
		return r;
	if (vly_cancel_thread != NULL)
		atomic_fetch_add_explicit(&vly_cancel_thread->depth, 1, memory_order_relaxed);
	return 0;
}

int volley_cancel_commit(void)
{
	struct volley_cancel *self = vly_cancel_thread;
	uint32_t depth;

	if (self == NULL)
		return 0;
	depth = atomic_load_explicit(&self->depth, memory_order_relaxed);
	if (depth == 0)
		return -EINVAL;
	if (atomic_load_explicit(&self->committed, memory_order_relaxed) == 0)
		atomic_store_explicit(&self->committed, depth, memory_order_relaxed);
	vly_cancel_apply(self);
	return 0;
}

int volley_cancel_leave(void)
{
	struct volley_cancel *self = vly_cancel_thread;
	uint32_t depth;

	if (self == NULL)
		return 0;
	depth = atomic_load_explicit(&self->depth, memory_order_relaxed);
	if (depth == 0)
		return -EINVAL;
	if (atomic_load_explicit(&self->committed, memory_order_relaxed) == depth)
		atomic_store_explicit(&self->committed, 0, memory_order_relaxed);
	atomic_store_explicit(&self->depth, depth - 1, memory_order_relaxed);
	vly_cancel_apply(self);
	return 0;
}
