/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_BACKLOG_H
#define VLY_PATH_BACKLOG_H

/*
 * Replies that found their socket full. Order is kept: while a socket has a backlog, new replies
 * queue behind it. All on the worker's thread.
 */

#include <stdint.h>

#include "path/worker.h"

/* 0 or -ENOMEM. fini takes a worker whose init failed. */
int vly_backlog_init(struct volley_worker *worker);
void vly_backlog_fini(struct volley_worker *worker);

/*
 * Queue a copy of a reply that could not leave (error -EAGAIN or -ENOBUFS, or 0 for one that only
 * stands in line). Drops it by name when there is no room.
 */
void vly_backlog_push(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *tx,
		      int error, uint64_t now_ns);

/* Try again where it is time; drop what waited too long. The caller publishes the counters. */
void vly_backlog_flush(struct volley_worker *worker, uint64_t now_ns);

/*
 * How many wait at the sockets of a listener, or -ESTALE. Where any do, on_writable is called when
 * they do no more.
 */
int vly_backlog_request_room(struct volley_worker *worker, struct volley_listener listener);

/*
 * Call on_writable for lines that have ended and were asked for. Between callbacks; what these send
 * is in the outbox.
 */
void vly_backlog_process(struct volley_worker *worker);

/* Drop what waits for one socket, or everything, under this name. */
void vly_backlog_drop_sock(struct volley_worker *worker, struct vly_sock *sock,
			   enum volley_tx_drop reason);
void vly_backlog_drop(struct volley_worker *worker, enum volley_tx_drop reason);

/* Nanoseconds until something must be looked at again, or -1; 0: now. */
int64_t vly_backlog_get_timeout(const struct volley_worker *worker, uint64_t now_ns);

#endif
