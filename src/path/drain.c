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

void vly_drain_clear(struct vly_shared *shared)
{
	/* relaxed: nobody runs */
	atomic_store_explicit(&shared->drain_end_ns, 0, memory_order_relaxed);
}

bool vly_drain_is_asked(const struct vly_shared *shared)
{
	return atomic_load_explicit(&shared->drain_end_ns, memory_order_relaxed) != 0;
}

void vly_drain_set_lingers(struct vly_shared *shared, uint64_t end_ns)
{
	uint32_t command = VLY_COMMAND_RUN;

	/* relaxed: the command that follows publishes it */
	atomic_store_explicit(&shared->drain_end_ns, end_ns, memory_order_relaxed);
	/* seq_cst: see above; a stop that comes first stays */
	atomic_compare_exchange_strong_explicit(&shared->command, &command, VLY_COMMAND_LINGER,
						memory_order_seq_cst, memory_order_relaxed);
}

void vly_drain_begin(struct vly_shared *shared, uint64_t late_ns)
{
	uint64_t drain_ns = vly_clock_convert_us(shared->config.drain_us);
	uint64_t end_ns = vly_clock_get_ns() + (late_ns < drain_ns ? drain_ns - late_ns : 0);

	/* relaxed: the command that follows publishes it; before that a worker sees either end */
	atomic_store_explicit(&shared->drain_end_ns, end_ns, memory_order_relaxed);
}

uint64_t vly_drain_get_end_ns(const struct vly_shared *shared)
{
	return atomic_load_explicit(&shared->drain_end_ns, memory_order_relaxed);
}

static bool has_time(const struct vly_shared *shared)
{
	return vly_clock_get_ns() < vly_drain_get_end_ns(shared);
}

bool vly_drain_is_on(const struct vly_shared *shared)
{
	/* seq_cst in it: what it says to drain, vly_drain_begin() came before */
	return vly_shared_get_command(shared) == VLY_COMMAND_DRAIN && has_time(shared);
}

bool vly_drain_has_ended(const struct vly_shared *shared)
{
	enum vly_command command = vly_shared_get_command(shared);

	if (command == VLY_COMMAND_LINGER || command == VLY_COMMAND_DRAIN)
		return !has_time(shared);
	return command == VLY_COMMAND_STOP;
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
