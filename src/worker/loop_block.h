/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_BLOCK_H
#define VLY_WORKER_LOOP_BLOCK_H

#include "worker/loop_ops.h"

/* Wait strategy: sleep in the receive call. */
extern const struct vly_loop_ops vly_loop_block_ops;

#endif
