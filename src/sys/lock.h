/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_LOCK_H
#define VLY_SYS_LOCK_H

/*
 * Locks. Functions that need a lock say so with VLY_REQUIRES(), which clang checks
 * (-Wthread-safety). C has no way to say it of a struct's field, so a field's comment names its
 * lock.
 *
 * While a thread has a lock, pthread_cancel() is held off from it: whatever it calls meanwhile, a
 * hook of the user's too, it cannot end and leave the lock taken. The state from before is put back
 * with the lock, so locks are given back in the reverse order.
 */

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"

struct VLY_CAPABILITY vly_lock {
	pthread_mutex_t mutex;
	int cancel_state; /* of whoever has it, to be put back */
};

void vly_lock_init(struct vly_lock *lock);
void vly_lock_fini(struct vly_lock *lock);
void vly_lock_take(struct vly_lock *lock) VLY_ACQUIRES(*lock);
void vly_lock_give(struct vly_lock *lock) VLY_RELEASES(*lock);

/* Take it if nobody has it; whether it was taken. */
bool vly_lock_try_take(struct vly_lock *lock) VLY_TRIES(true, *lock);

/* Tell clang that this is the lock that is held, under another name. Does nothing. */
static inline void vly_lock_assume(const struct vly_lock *lock) VLY_ASSUMES(*lock)
{
	(void)lock;
}

#endif
