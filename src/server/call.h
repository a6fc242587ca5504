/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_CALL_H
#define VLY_SERVER_CALL_H

#include <stdbool.h>

#include <volley/server.h>

/* 0 or -errno. */
typedef int (*vly_call_fn)(struct volley_worker *worker, void *arg);

/*
 * Run a function once for every worker and wait: on the worker's thread between two volleys, or
 * on the caller's where there is none. Never refused and takes no memory, so what undoes a change
 * can be carried as well. 0, or one of the failures.
 *
 * With the server's `listening` held, by any thread but a worker. Blocks until the slowest
 * callback returns.
 */
int vly_call_run(struct volley_server *server, vly_call_fn fn, void *arg);

/* Whether any worker has a thread. The same callers. */
bool vly_call_test_running(struct volley_server *server);

#endif
