/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SNAPSHOT_H
#define VLY_PATH_SNAPSHOT_H

/*
 * One thread's counters as others may read them: a copy under a sequence count, odd while it is
 * written. So whatever is read was true at one instant.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"
#include "path/counts.h"

struct vly_snapshot {
	_Atomic uint32_t sequence;
	_Atomic uint64_t counts[VLY_COUNTS_N];
};

/*
 * The one writer: all counters, or only those that each volley moves, where no other has moved
 * since all were written.
 */
void vly_snapshot_write(struct vly_snapshot *snapshot, const struct vly_counts *counts);
void vly_snapshot_write_hot(struct vly_snapshot *snapshot, const struct vly_counts *counts);

/* Anyone: what was last written, its size set; what is not counted there is zero. */
void vly_snapshot_read(const struct vly_snapshot *snapshot, struct volley_stats *ret_stats);

#endif
