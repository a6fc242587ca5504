/* SPDX-License-Identifier: MIT */

/* Conditions, as the C library has them. */

#include "sys/cond.h"

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
