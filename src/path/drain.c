/* SPDX-License-Identifier: MIT */

/*
 * The drain's clock. It is the server's, so that all workers end at one time, however late one of
 * them looks after the command.
 */

#include "path/drain.h"
#include "sys/clock.h"

void vly_drain_init(struct vly_drain *drain)
{
	*drain = (struct vly_drain){ .is_late = false };
}

void vly_drain_begin(struct vly_shared *shared)
{
	uint64_t end_ns = vly_clock_get_ns() + vly_clock_convert_us(shared->config.drain_us);

	/* relaxed: the command that follows publishes it */
	atomic_store_explicit(&shared->drain_end_ns, end_ns, memory_order_relaxed);
}

bool vly_drain_is_on(const struct vly_shared *shared)
{
	/* seq_cst in it: what it says to drain, vly_drain_begin() came before */
	if (vly_shared_get_command(shared) != VLY_COMMAND_DRAIN)
		return false;
	return vly_clock_get_ns() <
	       atomic_load_explicit(&shared->drain_end_ns, memory_order_relaxed);
}

bool vly_drain_has_ended(const struct vly_shared *shared)
{
	return vly_shared_get_command(shared) != VLY_COMMAND_RUN && !vly_drain_is_on(shared);
}

void vly_drain_set_late(struct vly_drain *drain)
{
	drain->is_late = true;
}

bool vly_drain_is_late(const struct vly_drain *drain)
{
	return drain->is_late;
}
