/* SPDX-License-Identifier: MIT */

/* Conditions, as the C library has them. */

#include "sys/cond.h"

void vly_cond_init(struct vly_cond *cond)
{
	pthread_cond_init(&cond->cond, NULL);
}

/*
 * Linux has nothing to give back. pthread_cond_destroy() would wait for threads that wait, and in a
 * forked child those do not exist.
 */
void vly_cond_fini(struct vly_cond *cond)
{
	(void)cond;
}

void vly_cond_wait(struct vly_cond *cond, struct vly_lock *lock)
{
	int state = lock->cancel_state; /* others have the lock meanwhile */

	pthread_cond_wait(&cond->cond, &lock->mutex);
	lock->cancel_state = state;
}

void vly_cond_wake(struct vly_cond *cond)
{
	pthread_cond_broadcast(&cond->cond);
}
