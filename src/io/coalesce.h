/* SPDX-License-Identifier: MIT */
#ifndef VLY_IO_COALESCE_H
#define VLY_IO_COALESCE_H

/*
 * Grouping of replies into segmented messages, before a backend sends them. The worker's thread
 * only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "io/message.h"

struct volley_allocator;

struct vly_coalesce; /* opaque */

/* What one socket allows; path/limits.c lowers it when the kernel refuses. */
struct vly_coalesce_limits {
	uint32_t n_segments;    /* most datagrams in a message; 1: no segmentation */
	uint32_t segment_bytes; /* longest datagram that may be a segment */
	bool by_size;           /* order does not matter: sort by length first */
};

struct vly_coalesce *vly_coalesce_new(const struct volley_allocator *allocator, uint32_t n_tx);
void vly_coalesce_free(struct vly_coalesce *coalesce);

/*
 * Chain entries first to first + n - 1 of tx, all of one socket, into messages: sets their `next`
 * and `n_segments`, points heads to the messages' first entries (valid until the next run), and
 * returns how many messages there are. Order per peer is kept; by size it is the longest first,
 * equally long ones in their order.
 */
uint32_t vly_coalesce_run(struct vly_coalesce *coalesce, struct vly_tx *tx, uint32_t first,
			  uint32_t n, const struct vly_coalesce_limits *limits,
			  const uint16_t **ret_heads);

#endif
