/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_COND_H
#define VLY_SYS_COND_H

/* Conditions: waiting, with a lock, for what others change under it. */

#include "sys/lock.h"

struct vly_cond {
	pthread_cond_t cond;
};

void vly_cond_init(struct vly_cond *cond);
void vly_cond_fini(struct vly_cond *cond);

/* Give the lock, sleep until somebody calls vly_cond_wake(), take it again. May end early. */
void vly_cond_wait(struct vly_cond *cond, struct vly_lock *lock) VLY_REQUIRES(*lock);
void vly_cond_wake(struct vly_cond *cond);

#endif
