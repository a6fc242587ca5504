/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_LOCK_H
#define VLY_SYS_LOCK_H

/*
 * Locks and conditions. Functions that need a lock say so with VLY_REQUIRES(), which clang checks
 * (-Wthread-safety). C has no way to say it of a struct's field, so a field's comment names its
 * lock.
 */

#include <pthread.h>

#include "base/compiler.h"

struct VLY_CAPABILITY vly_lock {
	pthread_mutex_t mutex;
};

struct vly_cond {
	pthread_cond_t cond;
};

void vly_lock_init(struct vly_lock *lock);
void vly_lock_fini(struct vly_lock *lock);
void vly_lock_take(struct vly_lock *lock) VLY_ACQUIRES(*lock);
void vly_lock_give(struct vly_lock *lock) VLY_RELEASES(*lock);

/* Tell clang that this is the lock that is held, under another name. Does nothing. */
static inline void vly_lock_assume(const struct vly_lock *lock) VLY_ASSUMES(*lock)
{
	(void)lock;
}

void vly_cond_init(struct vly_cond *cond);
void vly_cond_fini(struct vly_cond *cond);
/* Give the lock, sleep until somebody calls vly_cond_wake(), take it again. May end early. */
void vly_cond_wait(struct vly_cond *cond, struct vly_lock *lock) VLY_REQUIRES(*lock);
void vly_cond_wake(struct vly_cond *cond);

#endif
