/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_H
#define VLY_WORKER_LOOP_H

#include <stdbool.h>

#include <volley/config.h>

struct vly_loop_ops;

/* The loop that a config asks for, and whether it runs on a thread of ours or is the caller's. */
const struct vly_loop_ops *vly_loop_pick(const struct volley_config *config);
bool vly_loop_has_thread(const struct volley_config *config);

#endif
