/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_REMOTE_H
#define VLY_PATH_REMOTE_H

/*
 * What other threads want of a worker: replies to held packets (held.c), and sends. See remote.c.
 * Functions that need the lock say so; the others take it.
 */

#include "data/buffers.h"
#include "path/route.h"
#include "path/worker.h"

/* 0 or -ENOMEM. fini takes a worker whose init failed. */
int vly_remote_init(struct volley_worker *worker);
void vly_remote_fini(struct volley_worker *worker);

/* Payload bytes of all its buffers. */
uint64_t vly_remote_count_bytes(const struct volley_worker *worker);

/* Anyone, for moments. */
void vly_remote_lock(struct volley_worker *worker) VLY_ACQUIRES(worker->remote.lock);
void vly_remote_unlock(struct volley_worker *worker) VLY_RELEASES(worker->remote.lock);

/* Worker's thread: it takes sends from now on; at its end: it takes nothing any more. */
void vly_remote_open(struct volley_worker *worker);
void vly_remote_close(struct volley_worker *worker);
/* Anyone. */
bool vly_remote_is_open(struct volley_worker *worker);

/*
 * Anyone: have the worker send a datagram. 0; -ESHUTDOWN; -ESTALE when the route's socket is gone;
 * -EAGAIN; else a reason that is counted: -EMSGSIZE, -EINVAL, or -ENOBUFS when too many are under
 * way.
 */
int vly_remote_send(struct volley_worker *worker, const struct vly_route *route, const void *data,
		    size_t len);

/* A buffer of its pool, and back. */
struct vly_buffer *vly_remote_get_buffer(struct volley_worker *worker, uint32_t len)
	VLY_REQUIRES(worker->remote.lock);
void vly_remote_put_buffer(struct volley_worker *worker, struct vly_buffer *buffer)
	VLY_REQUIRES(worker->remote.lock);
/* A buffer by any number; NULL for one never taken. */
struct vly_buffer *vly_remote_find_buffer(struct volley_worker *worker, uint32_t index)
	VLY_REQUIRES(worker->remote.lock);

/* Anyone: vly_socks_request_room() of the route's socket. */
bool vly_remote_request_room(struct volley_worker *worker, const struct vly_route *route);

/* Count a send that fails before it was handed over; returns `error`. With the worker's lock. */
int vly_remote_refuse(struct vly_outside *outside, enum volley_tx_drop reason, int error);

/* Anyone: count a send by this route that fails for the sender's own reason; returns `error`. */
int vly_remote_refuse_send(struct volley_worker *worker, const struct vly_route *route,
			   enum volley_tx_drop reason, int error);

/* Hand a buffer to the worker, addressed by a socket that is there, with this payload. */
void vly_remote_post(struct volley_worker *worker, struct vly_buffer *buffer, const void *data,
		     uint32_t len) VLY_REQUIRES(worker->remote.lock);

/* Worker's thread: take over such a buffer out of the inbox. */
void vly_remote_take(struct volley_worker *worker, struct vly_inbox_node *node);

/* Worker's thread: take back what the outbox has sent. */
void vly_remote_take_sent(struct volley_worker *worker);

/*
 * Anyone: all that is counted of a socket, and of those that are gone: what was published,
 * completed by what is known here and by the kernel's counters.
 */
void vly_remote_read_stats(struct volley_worker *worker, struct vly_sock *sock,
			   struct volley_stats *ret_stats) VLY_REQUIRES(worker->shared->lock);
void vly_remote_read_gone(struct volley_worker *worker, struct volley_stats *ret_stats)
	VLY_REQUIRES(worker->shared->lock);

/*
 * The same of a socket that is taken away from the worker: nobody counts there any more. With the
 * shared lock.
 */
void vly_remote_read_last(struct vly_sock *sock, struct volley_stats *ret_stats);

/*
 * Worker's thread: a socket goes. What was counted of it is the worker's own as well from here on,
 * and what is on its way to it is dropped. It holds no packet any more.
 */
void vly_remote_close_sock(struct volley_worker *worker, struct vly_sock *sock)
	VLY_REQUIRES(worker->shared->lock) VLY_REQUIRES(worker->remote.lock);

#endif
