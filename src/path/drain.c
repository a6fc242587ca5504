/* SPDX-License-Identifier: MIT */

/* The drain's clock. It starts when the worker first looks after the command came. */

#include "path/drain.h"
#include "sys/clock.h"

void vly_drain_init(struct vly_drain *drain)
{
	*drain = (struct vly_drain){ .end_ns = 0 };
}

bool vly_drain_is_on(struct vly_drain *drain, const struct vly_shared *shared)
{
	uint64_t now_ns;

	if (vly_shared_get_command(shared) != VLY_COMMAND_DRAIN)
		return false;
	now_ns = vly_clock_get_ns();
	if (drain->end_ns == 0)
		drain->end_ns = now_ns + vly_clock_convert_us(shared->config.drain_us);
	return now_ns < drain->end_ns;
}

void vly_drain_set_late(struct vly_drain *drain)
{
	assert(drain->end_ns != 0);
	drain->is_late = true;
}

bool vly_drain_is_late(const struct vly_drain *drain)
{
	return drain->is_late;
}
