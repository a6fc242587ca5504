/* SPDX-License-Identifier: MIT */

/* Whether a drain is on: the command says that it begins, and the clock that it ends. */

#include <criterion/criterion.h>

#include "path/drain.h"
#include "sys/clock.h"

static struct vly_shared shared;

static void command(enum vly_command command)
{
	atomic_store(&shared.command, (uint32_t)command);
}

Test(drain, only_the_command_to_drain_begins_one)
{
	struct vly_drain drain;

	shared.config.drain_us = 60000000;
	vly_drain_init(&drain);
	command(VLY_COMMAND_RUN);
	cr_assert_not(vly_drain_is_on(&drain, &shared));
	command(VLY_COMMAND_STOP);
	cr_assert_not(vly_drain_is_on(&drain, &shared));
	cr_assert_eq(drain.end_ns, 0);
	command(VLY_COMMAND_DRAIN);
	cr_assert(vly_drain_is_on(&drain, &shared));
	command(VLY_COMMAND_STOP);
	cr_assert_not(vly_drain_is_on(&drain, &shared), "a stop ends a drain");
}

Test(drain, its_time_begins_with_the_first_look)
{
	uint64_t before_ns = vly_clock_get_ns();
	struct vly_drain drain;
	uint64_t end_ns;

	shared.config.drain_us = 60000000;
	vly_drain_init(&drain);
	command(VLY_COMMAND_DRAIN);
	cr_assert(vly_drain_is_on(&drain, &shared));
	end_ns = drain.end_ns;
	cr_assert_geq(end_ns, before_ns + UINT64_C(60000000000));
	cr_assert_leq(end_ns, vly_clock_get_ns() + UINT64_C(60000000000));
	vly_clock_sleep_ns(1000);
	cr_assert(vly_drain_is_on(&drain, &shared));
	cr_assert_eq(drain.end_ns, end_ns, "the next looks do not move it");
}

Test(drain, its_time_ends)
{
	struct vly_drain drain;
	uint64_t end_ns;

	shared.config.drain_us = 1000;
	vly_drain_init(&drain);
	command(VLY_COMMAND_DRAIN);
	vly_drain_is_on(&drain, &shared);
	end_ns = drain.end_ns;
	while (vly_clock_get_ns() < end_ns)
		vly_clock_sleep_ns(end_ns - vly_clock_get_ns());
	cr_assert_not(vly_drain_is_on(&drain, &shared));
}

Test(drain, late_is_what_somebody_found)
{
	struct vly_drain drain = { .end_ns = 1, .is_late = true };

	vly_drain_init(&drain);
	cr_assert_not(vly_drain_is_late(&drain));
	drain.end_ns = 1; /* a drain has begun: others cannot be late */
	vly_drain_set_late(&drain);
	cr_assert(vly_drain_is_late(&drain));
}
