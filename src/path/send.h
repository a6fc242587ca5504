/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SEND_H
#define VLY_PATH_SEND_H

/* What is sent and is no reply. */

#include <stddef.h>

#include "path/worker.h"

/* volley_worker_send() on the worker's thread: it is in the outbox then. */
int vly_send_add(struct volley_worker *worker, uint32_t listener_index,
		 const struct volley_addr *peer, const struct volley_addr *local, const void *data,
		 size_t len);

/* The same on any other thread: it is in the inbox then. Blocks for moments only. */
int vly_send_post(struct volley_worker *worker, uint32_t listener_index,
		  const struct volley_addr *peer, const struct volley_addr *local, const void *data,
		  size_t len);

#endif
