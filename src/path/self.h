/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SELF_H
#define VLY_PATH_SELF_H

/* Which thread is the worker, for those who must be it, or must not. */

#include <stdatomic.h>
#include <stdbool.h>

#include "sys/thread.h"

struct vly_self {
	_Atomic vly_thread_id thread; /* 0: nobody */
};

/* The calling thread is the worker from here on, until it leaves. */
void vly_self_enter(struct vly_self *self);
void vly_self_leave(struct vly_self *self);

/* Whether anybody is, and whether the calling thread is. */
bool vly_self_is_taken(const struct vly_self *self);
bool vly_self_is_me(const struct vly_self *self);

/*
 * For asserts: the calling thread is the worker, or nobody is and it may do the worker's work (the
 * control thread's, before and after).
 */
bool vly_self_is_allowed(const struct vly_self *self);

#endif
