/* SPDX-License-Identifier: MIT */

/*
 * A send that forgets the lock (with -DSOUND it does not): clang's -Wthread-safety must tell.
 * tools/check compiles it both ways.
 */

#include "path/remote.h"

void plant(struct volley_worker *worker);

void plant(struct volley_worker *worker)
{
#ifdef SOUND
	vly_remote_lock(worker);
#endif
	vly_remote_put_buffer(worker, NULL);
#ifdef SOUND
	vly_remote_unlock(worker);
#endif
}
