/* SPDX-License-Identifier: MIT */
#ifndef VLY_ENGINE_OUTBOX_H
#define VLY_ENGINE_OUTBOX_H

#include <volley/server.h>

/*
 * Hand every answer of the worker's tx entries to the kernel or to the backlog. What the entries
 * point to is free afterwards. The worker's thread; never blocks.
 */
void vly_outbox_flush(struct volley_worker *worker);

#endif
