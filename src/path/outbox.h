/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_OUTBOX_H
#define VLY_PATH_OUTBOX_H

#include <volley/server.h>

struct vly_buffer;

/* The next tx entry; flushes first when there is none left. The caller fills it. */
struct vly_tx *vly_outbox_new(struct volley_worker *worker);

/*
 * Send what a buffer holds (`answer`) with the next flush, which gives the buffer back to its
 * `pool` (enum vly_pool).
 */
void vly_outbox_add(struct volley_worker *worker, struct vly_buffer *buffer);

/*
 * Hand every answer of the worker's tx entries to the kernel or to the backlog. What the entries
 * point to is free afterwards. The worker's thread; never blocks.
 */
void vly_outbox_flush(struct volley_worker *worker);

#endif
