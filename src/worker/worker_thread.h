/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_WORKER_THREAD_H
#define VLY_WORKER_WORKER_THREAD_H

#include "path/worker.h"

/*
 * Control thread: create the worker's thread, which reports at the gate how its start went and
 * waits there for the verdict. 0 or -errno.
 */
int vly_worker_start(struct volley_worker *worker, struct vly_gate *gate);

/* Control thread: wait for its end. */
void vly_worker_join(struct volley_worker *worker);

#endif
