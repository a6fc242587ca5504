/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_PIPELINE_H
#define VLY_PATH_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "path/worker.h"

/*
 * Most views handed to one callback: enough to amortise the call, few enough to stay in the L1
 * cache.
 */
enum { VLY_PIPELINE_N_VIEWS = 256 };

/* Slots, views and the backend. 0 or -errno. fini takes a worker whose init failed. */
int vly_pipeline_init(struct volley_worker *worker);
void vly_pipeline_fini(struct volley_worker *worker);

/* Have slots of at least so many bytes, between two volleys. 0 or -ENOMEM. */
int vly_pipeline_grow(struct volley_worker *worker, uint32_t slot_bytes);

/* Payload bytes of the slots. */
uint64_t vly_pipeline_count_bytes(const struct volley_worker *worker);

/*
 * One pass of a worker over its ready sockets: receive, call back, send; up to `budget` volleys
 * each. Sleeps in a drain only, for handlers. The whole data path. Returns how many messages were
 * received. Sockets found empty are no longer ready.
 */
uint32_t vly_pipeline_run_once(struct volley_worker *worker, uint32_t budget);

/* The same for one socket, ready or not. */
uint32_t vly_pipeline_run_sock(struct volley_worker *worker, struct vly_sock *sock,
			       uint32_t budget);

/* Any thread: somebody waits for the worker, so a pass goes no further than its next volley. */
static inline void vly_pipeline_set_called(struct volley_worker *worker, bool is_called)
{
	atomic_store_explicit(&worker->intake.is_called, is_called, memory_order_relaxed);
}

/*
 * For the worker's only socket: sleep for the first message, a cancellation point, and take what
 * there is. Returns how many messages wait in the slots for vly_pipeline_serve(); 0 or -ECANCELED:
 * none. 0 without having slept, too, where the socket is non-blocking.
 */
int vly_pipeline_wait(struct volley_worker *worker, struct vly_sock *sock);
void vly_pipeline_serve(struct volley_worker *worker, struct vly_sock *sock, uint32_t n);

/* Let others see the counters as they are now; done once a volley by itself. */
void vly_pipeline_publish(struct volley_worker *worker);

/*
 * Send what was requested outside a volley (by posts, timers, other threads), give what was sent
 * back to its owners, and publish.
 */
void vly_pipeline_flush(struct volley_worker *worker);

/*
 * The same where something was requested, at the end of whatever may have called the user. So the
 * outbox is empty whenever the worker waits, gives up its turn, or ends.
 */
void vly_pipeline_leave(struct volley_worker *worker);

/* Count and throw away what a socket still holds. The kernel refuses new datagrams already. */
void vly_pipeline_discard(struct volley_worker *worker, struct vly_sock *sock);

#endif
