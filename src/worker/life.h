/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LIFE_H
#define VLY_WORKER_LIFE_H

/*
 * A worker's life, from its start to its end: the parts that it goes through, whoever its thread
 * is. All on the worker's thread, but for what says otherwise.
 */

#include "path/worker.h"

/* Control thread, before a start. */
void vly_life_init(struct volley_worker *worker);

/*
 * What comes before serving: handlers, the loop, and the user's hook. 0, or -errno and nothing is
 * left of it. Then the loop may run.
 */
int vly_life_begin(struct volley_worker *worker);
void vly_life_set_running(struct volley_worker *worker);
bool vly_life_is_running(const struct volley_worker *worker);

/* The way out: through the states up to FLUSHED, and to STOPPED. */
void vly_life_finish(struct volley_worker *worker);
void vly_life_end(struct volley_worker *worker);

#endif
