/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_WORKER_H
#define VOLLEY_WORKER_H

/**
 * @file worker.h
 * The workers of a server, and how to do something on their threads.
 */

#include <stdint.h>

#include <volley/config.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_server;
struct volley_worker;

/**
 * Run a function once on every worker, between two volleys: the moment to swap what callbacks
 * share.
 *
 * Either the call fails and nothing runs, or the function runs exactly once on each worker, also
 * when the server is stopped meanwhile.
 *
 * @param server  a running server
 * @param fn      called with each worker and the arg here
 * @param arg     yours
 * @return 0 when queued, -ESHUTDOWN when not running, -ENOMEM
 * @threads  any, workers included
 * @blocks   for a lock that only start, stop and readers of statistics hold
 */
VOLLEY_API int volley_server_post(struct volley_server *server, volley_worker_fn fn, void *arg);

/**
 * Run a function once on one worker, between two volleys: what belongs to that worker alone, such
 * as a packet of a client whose session it has.
 *
 * Either the call fails and nothing runs, or the function runs exactly once, also when the server
 * is stopped meanwhile. What one thread posts to a worker runs in the order of its calls, those of
 * volley_server_post() among them.
 *
 * @param server        a running server
 * @param worker_index  0 to n_workers - 1
 * @param fn            called with that worker and the arg here
 * @param arg           yours
 * @return 0 when queued; -EINVAL for no function and for an index beyond the workers; -ESHUTDOWN
 *         when not running; -ENOMEM
 * @threads  any, workers included
 * @blocks   for a lock that only start, stop and readers of statistics hold
 */
VOLLEY_API int volley_server_post_to(struct volley_server *server, uint32_t worker_index,
				     volley_worker_fn fn, void *arg);

/**
 * A worker's index.
 *
 * @return 0 to n_workers - 1
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint32_t volley_worker_get_index(const struct volley_worker *worker);

/**
 * The server that a worker belongs to.
 *
 * @return the server, until it is freed
 * @threads  any
 * @blocks   never
 */
VOLLEY_API struct volley_server *volley_worker_get_server(const struct volley_worker *worker);

/**
 * The worker's user pointer, NULL until set. Kept over stop and start.
 *
 * @return what volley_worker_set_data() was given
 * @threads  the worker's
 * @blocks   never
 */
VOLLEY_API void *volley_worker_get_data(const struct volley_worker *worker);

/**
 * Set the worker's user pointer.
 *
 * @threads  the worker's
 * @blocks   never
 */
VOLLEY_API void volley_worker_set_data(struct volley_worker *worker, void *data);

#ifdef __cplusplus
}
#endif

#endif
