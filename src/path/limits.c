/* SPDX-License-Identifier: MIT */

/*
 * Healing. A refusal lowers the one limit that it says something about, and never below what every
 * path takes. So one client behind a narrow path cannot switch segmentation off for the others.
 */

#include "path/limits.h"

#include <assert.h>
#include <errno.h>

/* What every IPv6 path takes: 1,280 bytes less 48 of headers (RFC 8200). */
enum { MIN_SEGMENT_CAP = 1232 };

/* Long enough to cost nothing, short enough to notice that a route got better. */
#define PROBE_AGAIN_NS UINT64_C(60000000000)

/* A device without checksum offload says EIO always; a single one may be a route in change. */
enum { MAX_REFUSALS = 3 };

void vly_limits_init(struct vly_limits *limits, const struct vly_coalesce_limits *start)
{
	*limits = (struct vly_limits){ .now = *start };
}

bool vly_limits_lower(struct vly_limits *limits, uint32_t segment_bytes, int error, uint64_t now_ns)
{
	bool is_first = !limits->is_told;

	assert(error < 0);
	if (error == -EMSGSIZE || error == -EINVAL) {
		/*
		 * Longer than the path takes, which segments may not be (single datagrams are
		 * fragmented). Shorter ones still can.
		 */
		limits->now.segment_bytes = segment_bytes > MIN_SEGMENT_CAP ? segment_bytes - 1
									    : MIN_SEGMENT_CAP;
		limits->until_ns = now_ns + PROBE_AGAIN_NS;
	} else if (error == -EIO || error == -ENOPROTOOPT) {
		if (++limits->n_refusals >= MAX_REFUSALS)
			limits->now.n_segments = 1;
	}
	limits->is_told = true;
	return is_first;
}

void vly_limits_raise(struct vly_limits *limits, const struct vly_coalesce_limits *start,
		      uint64_t now_ns)
{
	if (now_ns < limits->until_ns)
		return;
	limits->now.segment_bytes = start->segment_bytes;
	limits->until_ns = 0;
}
