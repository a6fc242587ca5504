/* SPDX-License-Identifier: MIT */

/*
 * The drain's clock. It is the server's, so that all workers end at one time, however late one of
 * them looks after the command.
 */

#include "path/drain.h"
#include "path/listener.h"
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

void vly_drain_begin_listener(struct vly_listener *listener, uint64_t end_ns)
{
	/* relaxed: nothing but itself; a worker that sees it late hears of it by an errand */
	atomic_store_explicit(&listener->drain_end_ns, end_ns, memory_order_relaxed);
}

bool vly_drain_has_listener(const struct vly_listener *listener)
{
	return atomic_load_explicit(&listener->drain_end_ns, memory_order_relaxed) != 0;
}

bool vly_drain_is_listener_on(const struct vly_shared *shared, const struct vly_listener *listener)
{
	uint64_t end_ns = atomic_load_explicit(&listener->drain_end_ns, memory_order_relaxed);

	return end_ns != 0 && !vly_drain_is_over(shared) && vly_clock_get_ns() < end_ns;
}

void vly_drain_set_late(struct vly_drain *drain)
{
	drain->is_late = true;
}

bool vly_drain_is_late(const struct vly_drain *drain)
{
	return drain->is_late;
}
