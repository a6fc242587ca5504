/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_DRAIN_H
#define VLY_PATH_DRAIN_H

/* A worker's drain: whether one is on, and for how long yet. The worker's alone. */

#include <stdbool.h>
#include <stdint.h>

#include "path/shared.h"

struct vly_drain {
	uint64_t end_ns; /* 0: no drain has begun */
	bool is_late;    /* its time was over first */
};

/* Before the worker starts. */
void vly_drain_init(struct vly_drain *drain);

/* Whether the command is to drain and time is left. The first call sets the time's end. */
bool vly_drain_is_on(struct vly_drain *drain, const struct vly_shared *shared);

/* Time was over first; whether it was, which others ask when the worker has left. */
void vly_drain_set_late(struct vly_drain *drain);
bool vly_drain_is_late(const struct vly_drain *drain);

#endif
