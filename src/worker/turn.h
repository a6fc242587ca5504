/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_TURN_H
#define VLY_WORKER_TURN_H

/*
 * A worker without a thread, whose loop is the caller's: whoever has the turn is the worker for as
 * long. See turn.c.
 */

#include "worker/errand.h"

void vly_turn_init(struct volley_worker *worker);
void vly_turn_fini(struct volley_worker *worker);

/* Take the turn; not from inside it. Waits for whoever has it. */
void vly_turn_take(struct volley_worker *worker) VLY_ACQUIRES(worker->turn.lock);
void vly_turn_give(struct volley_worker *worker) VLY_RELEASES(worker->turn.lock);

/* The worker's life without a thread, each in a turn of its own. */
int vly_turn_start(struct volley_worker *worker);
void vly_turn_stop(struct volley_worker *worker);

/*
 * One pass: the number of messages received; -ESHUTDOWN when the worker does not run, or was asked
 * to stop and now has; -EDEADLK from inside a turn, and from a handler.
 */
int vly_turn_process(struct volley_worker *worker);

/*
 * Nanoseconds until the next pass is due, readable or not; -1: none; 0 when somebody else has the
 * turn. From inside a turn too.
 */
int64_t vly_turn_get_timeout(struct volley_worker *worker);

/*
 * volley_worker_send() from outside of a turn: asks for the next one by the descriptor and by the
 * timeout, and waits for none, also while somebody has it. -ESHUTDOWN while the worker does not
 * run.
 */
int vly_turn_send(struct volley_worker *worker, struct volley_listener listener,
		  const struct volley_addr *peer, const void *data, size_t len,
		  const struct volley_send_options *options);

/* Run it in a turn of its own, behind what came before; its result. Also between stop and start. */
int vly_turn_run(struct volley_worker *worker, vly_errand_fn fn, void *arg);

#endif
