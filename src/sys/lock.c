/* SPDX-License-Identifier: MIT */

/* Locks, as the C library has them. */

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
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&lock->mutex);
	lock->cancel_state = state;
}

bool vly_lock_try_take(struct vly_lock *lock) VLY_NOT_ANALYSED
{
	int state;
	bool taken;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	taken = pthread_mutex_trylock(&lock->mutex) == 0;
	if (taken)
		lock->cancel_state = state;
	else
		pthread_setcancelstate(state, &state);
	return taken;
}

void vly_lock_give(struct vly_lock *lock) VLY_NOT_ANALYSED
{
	int state = lock->cancel_state;

	pthread_mutex_unlock(&lock->mutex);
	pthread_setcancelstate(state, &state);
}
