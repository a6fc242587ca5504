/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_STATS_H
#define VLY_PATH_STATS_H

#include <stdatomic.h>

#include <volley/stats.h>

#include "base/compiler.h"

/* The counters of struct volley_stats after its size. */
enum { VLY_STATS_N = (sizeof(struct volley_stats) - sizeof(size_t)) / sizeof(uint64_t) };

/*
 * A worker's counters as others may read them: a copy under a sequence count, odd while it is
 * written. Written by the worker once a volley, so whatever is read was true at one instant.
 */
struct vly_stats_snapshot {
	VLY_ALIGNED _Atomic uint32_t sequence;
	_Atomic uint64_t counts[VLY_STATS_N];
};

/* Worker: publish. */
void vly_stats_publish(struct vly_stats_snapshot *snapshot, const struct volley_stats *counts);

/* Anyone: read what was last published. */
void vly_stats_read(struct vly_stats_snapshot *snapshot, struct volley_stats *ret_counts);

struct vly_port;

/*
 * Read the kernel's counters of a port's socket into it, with the server's lock. Returns the bytes
 * that unread messages hold.
 */
uint32_t vly_stats_read_kernel(struct vly_port *port);

/* With the server's lock: the totals. */
void vly_stats_sum(struct volley_server *server, struct volley_stats *ret_sum);

/* Add counters to others, name by name. */
void vly_stats_add(struct volley_stats *sum, const struct volley_stats *counts);

/* The drop reason of a failed send. */
enum volley_tx_drop vly_stats_get_tx_drop(int error);

#endif
