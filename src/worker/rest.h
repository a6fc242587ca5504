/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_REST_H
#define VLY_WORKER_REST_H

/*
 * Sockets that cannot be received from: the kernel or a filter refuses it, or somebody who holds
 * the socket too has shut it down. Each wait would end at once and nothing would come, so such a
 * socket is left alone for a while. The worker's thread.
 */

#include "path/worker.h"

/* Give those a rest that only fail, and look again at those whose rest is over. */
void vly_rest_run(struct volley_worker *worker, uint64_t now_ns);

/* Nanoseconds until the next look, or -1; 0: now. */
int64_t vly_rest_get_timeout(const struct volley_worker *worker, uint64_t now_ns);

/* From here on a rest lasts a second, and the log has said so. */
enum { VLY_REST_N_DOUBLINGS = 10 };

/* How long to leave alone what has failed n times more since its first rest: up to a second. */
uint64_t vly_rest_get_ns(uint32_t n);

/* Whether any socket has a rest or needs one. */
static inline bool vly_rest_has_any(const struct volley_worker *worker)
{
	return vly_socks_has_refused(&worker->socks);
}

#endif
