/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_BASE_H
#define VLY_WORKER_LOOP_BASE_H

#include "worker/loop_ops.h"

/* Wait strategy: the caller's event_base. */
extern const struct vly_loop_ops vly_loop_base_ops;

#endif
