/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_BACKLOG_H
#define VLY_PATH_BACKLOG_H

/*
 * Answers that found their socket full. Order is kept: while a socket has a backlog, new answers
 * queue behind it. All on the worker's thread.
 */

#include <stdint.h>

#include "path/worker.h"

/*
 * Queue a copy of an answer that could not leave (error -EAGAIN or -ENOBUFS, or 0 for one that
 * only stands in line). Drops it by name when there is no room.
 */
void vly_backlog_push(struct volley_worker *worker, struct vly_port *port, const struct vly_tx *tx,
		      int error, uint64_t now_ns);

/* Try again where it is time; drop what waited too long. */
void vly_backlog_flush(struct volley_worker *worker, uint64_t now_ns);

/* Drop what waits for one socket under `reason` (enum volley_tx_drop). */
void vly_backlog_drop_port(struct volley_worker *worker, struct vly_port *port, uint32_t reason);

/* Drop everything under `reason` (enum volley_tx_drop). */
void vly_backlog_drop(struct volley_worker *worker, uint32_t reason);

/* Nanoseconds until something must be looked at again, or -1; 0: now. */
int64_t vly_backlog_get_timeout(const struct volley_worker *worker, uint64_t now_ns);

#endif
