/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SNAPSHOT_H
#define VLY_PATH_SNAPSHOT_H

/*
 * One thread's counters as others may read them: a copy under a sequence count, odd while it is
 * written. So whatever is read was true at one instant.
 */

#include <stdatomic.h>
#include <stdint.h>

#include <volley/stats.h>

#include "base/compiler.h"

/* The counters of struct volley_stats after its size. */
enum { VLY_SNAPSHOT_N = (sizeof(struct volley_stats) - sizeof(size_t)) / sizeof(uint64_t) };

struct vly_snapshot {
	VLY_ALIGNED _Atomic uint32_t sequence;
	_Atomic uint64_t counts[VLY_SNAPSHOT_N];
};

/*
 * The one writer: all counters, or only those that each volley moves, where no other has moved
 * since all were written.
 */
void vly_snapshot_write(struct vly_snapshot *snapshot, const struct volley_stats *counts);
void vly_snapshot_write_hot(struct vly_snapshot *snapshot, const struct volley_stats *counts);

/* Anyone: what was last written. Leaves the size of ret_counts alone. */
void vly_snapshot_read(const struct vly_snapshot *snapshot, struct volley_stats *ret_counts);

#endif
