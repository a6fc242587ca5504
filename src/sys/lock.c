/* SPDX-License-Identifier: MIT */

/* Locks and conditions, as the C library has them. */

#include "sys/lock.h"

void vly_lock_init(struct vly_lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

void vly_lock_fini(struct vly_lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

void vly_lock_take(struct vly_lock *lock) VLY_NOT_ANALYSED
{
	pthread_mutex_lock(&lock->mutex);
}

void vly_lock_give(struct vly_lock *lock) VLY_NOT_ANALYSED
{
	pthread_mutex_unlock(&lock->mutex);
}

void vly_cond_init(struct vly_cond *cond)
{
	pthread_cond_init(&cond->cond, NULL);
}

void vly_cond_fini(struct vly_cond *cond)
{
	pthread_cond_destroy(&cond->cond);
}

void vly_cond_wait(struct vly_cond *cond, struct vly_lock *lock)
{
	pthread_cond_wait(&cond->cond, &lock->mutex);
}

void vly_cond_wake(struct vly_cond *cond)
{
	pthread_cond_broadcast(&cond->cond);
}
