/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_CALL_H
#define VLY_SERVER_CALL_H

#include <stdbool.h>

#include "server/state.h"
#include "worker/errand.h"

/*
 * Have every worker do an errand (worker/change.h) and wait for it: on the worker's thread between
 * two volleys, or on the caller's where there is none. Never refused and takes no memory, so what
 * undoes a change can be carried as well. 0, or one of the failures.
 *
 * With the server's `listening`, by any thread but a worker. Blocks until the slowest callback
 * returns.
 */
int vly_call_run(struct volley_server *server, vly_errand_fn fn, void *arg)
	VLY_REQUIRES(server->listening);

/* Whether any worker has a thread. The same callers. */
bool vly_call_has_thread(struct volley_server *server);

#endif
