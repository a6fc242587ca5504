/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_EVENT_H
#define VLY_WORKER_LOOP_EVENT_H

#include "worker/loop_ops.h"

/* Wait strategy: a libevent loop of the worker's. */
extern const struct vly_loop_ops vly_loop_event_ops;

#endif
