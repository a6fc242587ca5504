/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_LIMITS_H
#define VLY_PATH_LIMITS_H

/* What may leave by a socket as one message: lowered when the kernel refuses, and raised again. */

#include <stdbool.h>
#include <stdint.h>

#include "io/coalesce.h"

struct vly_limits {
	struct vly_coalesce_limits now;
	uint64_t until_ns;   /* when `segment_bytes` is raised again; 0: it is not lowered */
	uint32_t n_refusals; /* EIO or ENOPROTOOPT on segmented messages */
	bool is_told;        /* the log knows of the first refusal */
};

void vly_limits_init(struct vly_limits *limits, const struct vly_coalesce_limits *start);

/*
 * Learn from the error of a segmented message whose segments had so many bytes. True: it is the
 * first, and the log should know.
 */
bool vly_limits_lower(struct vly_limits *limits, uint32_t segment_bytes, int error,
		      uint64_t now_ns);

/* A size that the path did not take is tried again after a while: routes change. */
void vly_limits_raise(struct vly_limits *limits, const struct vly_coalesce_limits *start,
		      uint64_t now_ns);

static inline bool vly_limits_is_lowered(const struct vly_limits *limits)
{
	return limits->until_ns != 0;
}

static inline const struct vly_coalesce_limits *vly_limits_get(const struct vly_limits *limits)
{
	return &limits->now;
}

#endif
