/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_TURN_H
#define VLY_WORKER_TURN_H

/*
 * A worker without a thread, whose loop is the caller's: whoever has the turn is the worker for as
 * long. See turn.c.
 */

#include "path/worker.h"

/* Take the turn; not from inside it (vly_worker_test_self()). Waits for whoever has it. */
void vly_turn_take(struct volley_worker *worker);
void vly_turn_give(struct volley_worker *worker);

/* The worker's life without a thread, each in a turn of its own. */
int vly_turn_start(struct volley_worker *worker);
void vly_turn_stop(struct volley_worker *worker);

/*
 * One pass: the number of messages received; -ESHUTDOWN when the worker does not run, or was asked
 * to stop and now has; -EDEADLK from inside a turn.
 */
int vly_turn_process(struct volley_worker *worker);

#endif
