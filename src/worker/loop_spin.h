/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_SPIN_H
#define VLY_WORKER_LOOP_SPIN_H

#include "worker/loop_ops.h"

/* Wait strategy: no wait at all. */
extern const struct vly_loop_ops vly_loop_spin_ops;

#endif
