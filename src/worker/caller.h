/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_CALLER_H
#define VLY_WORKER_CALLER_H

/* Who may call what is for the worker's thread alone. */

#include "path/worker.h"

/*
 * 0 on the worker's thread; else -EPERM, or -ESRCH in a forked child, and a sentence says so that
 * begins with `what`, the function that was called.
 */
int vly_caller_check(const struct volley_worker *worker, const char *what);

#endif
