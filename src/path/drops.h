/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_DROPS_H
#define VLY_PATH_DROPS_H

/*
 * What the kernel dropped at one socket. SO_MEMINFO counts in 32 bits, and counts from the socket's
 * birth; here it is 64 bits, from the moment in which the socket became ours. With the lock of
 * path/shared.h, all of it.
 */

#include <stdbool.h>
#include <stdint.h>

struct vly_drops {
	uint64_t total; /* messages that were ours and were dropped */
	uint32_t seen;  /* what the kernel said last */
	uint32_t first; /* what it said when the socket became ours */
};

/* The socket becomes ours. What it has dropped is ours too, unless it was `used` by others. */
void vly_drops_begin(struct vly_drops *drops, int fd, bool used);

/* Ask the kernel. Returns the bytes that unread messages hold. */
uint32_t vly_drops_read(struct vly_drops *drops, int fd);

/* What the kernel said last; and messages that were ours. */
uint32_t vly_drops_get_seen(const struct vly_drops *drops);
uint64_t vly_drops_get_total(const struct vly_drops *drops);

/* Up to this number of the kernel's, the drops are somebody else's after all. */
void vly_drops_forget(struct vly_drops *drops, uint32_t kernel_count);

#endif
