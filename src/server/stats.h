/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_STATS_H
#define VLY_SERVER_STATS_H

#include <volley/stats.h>

#include "path/worker.h"
#include "server/state.h"

/*
 * What of a worker belongs to no socket, gone or there (path/remote.h has those); asked for after
 * them, and added to their sum.
 */
void vly_stats_add_own(const struct volley_worker *worker, struct volley_stats *stats);

/* Of a listener's sockets that are no more; with the shared lock. */
void vly_stats_read_gone(const struct vly_listener *listener, struct volley_stats *ret_sum);

/* A worker's counters as of now, and the totals: what was carried over, and all workers. */
void vly_stats_read(struct volley_server *server, uint32_t worker_index,
		    struct volley_stats *ret_stats) VLY_REQUIRES(server->shared.lock);
void vly_stats_sum(struct volley_server *server, struct volley_stats *ret_sum)
	VLY_REQUIRES(server->shared.lock);

#endif
