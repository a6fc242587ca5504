/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_REPLY_H
#define VLY_PATH_REPLY_H

#include <stdint.h>

#include <volley/server.h>

/*
 * Room in the worker's arena until the flush, or NULL; may flush first to make some. The worker's
 * thread.
 */
void *vly_reply_get_room(struct volley_worker *worker, uint32_t n_bytes);

#endif
