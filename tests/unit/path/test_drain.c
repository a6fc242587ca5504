/* SPDX-License-Identifier: MIT */

/* Whether a drain is on: the command says that it begins, and the clock that it ends. */

#include <criterion/criterion.h>

#include "path/drain.h"
#include "path/listener.h"
#include "sys/clock.h"

static struct vly_shared shared;

static void command(enum vly_command command)
{
	atomic_store(&shared.command, (uint32_t)command);
}

Test(drain, only_the_command_to_drain_begins_one)
{
	shared.config.drain_us = 60000000;
	vly_drain_begin(&shared, 0);
	command(VLY_COMMAND_RUN);
	cr_assert_not(vly_drain_is_on(&shared));
	cr_assert_not(vly_drain_is_over(&shared));
	command(VLY_COMMAND_DRAIN);
	cr_assert(vly_drain_is_on(&shared));
	cr_assert_not(vly_drain_is_over(&shared), "callbacks go on");
	command(VLY_COMMAND_STOP);
	cr_assert_not(vly_drain_is_on(&shared), "a stop ends a drain");
	cr_assert(vly_drain_is_over(&shared), "and no callback begins");
}

Test(drain, its_time_ends_for_all_at_once)
{
	uint64_t begin_ns = vly_clock_get_ns();

	shared.config.drain_us = 1000;
	vly_drain_begin(&shared, 0);
	command(VLY_COMMAND_DRAIN);
	while (vly_drain_is_on(&shared)) {
		cr_assert_lt(vly_clock_get_ns(), begin_ns + UINT64_C(10000000000));
		vly_clock_sleep_ns(100000);
	}
	cr_assert_geq(vly_clock_get_ns(), begin_ns + 1000000);
	cr_assert(vly_drain_is_over(&shared));
	command(VLY_COMMAND_RUN);
	cr_assert_not(vly_drain_is_over(&shared), "the next start is not late");
}

Test(drain, callbacks_go_on_while_it_lingers_and_not_beyond_its_end)
{
	command(VLY_COMMAND_RUN);
	vly_drain_clear(&shared);
	cr_assert_not(vly_drain_is_asked(&shared));
	vly_drain_set_lingers(&shared, vly_clock_get_ns() + UINT64_C(60000000000));
	cr_assert(vly_drain_is_asked(&shared));
	cr_assert_eq(vly_shared_get_command(&shared), VLY_COMMAND_LINGER);
	cr_assert_not(vly_drain_is_on(&shared));
	cr_assert_not(vly_drain_is_over(&shared));
	vly_drain_set_lingers(&shared, vly_clock_get_ns());
	cr_assert(vly_drain_is_over(&shared));
	command(VLY_COMMAND_STOP);
	vly_drain_set_lingers(&shared, vly_clock_get_ns() + UINT64_C(60000000000));
	cr_assert_eq(vly_shared_get_command(&shared), VLY_COMMAND_STOP, "it stays one");
	command(VLY_COMMAND_RUN);
}

Test(drain, what_it_is_late_is_taken_of_its_time)
{
	shared.config.drain_us = 60000000;
	command(VLY_COMMAND_DRAIN);
	vly_drain_begin(&shared, UINT64_C(59000000000));
	cr_assert(vly_drain_is_on(&shared));
	vly_drain_begin(&shared, UINT64_C(60000000000));
	cr_assert_not(vly_drain_is_on(&shared));
	vly_drain_begin(&shared, UINT64_MAX);
	cr_assert_not(vly_drain_is_on(&shared));
	command(VLY_COMMAND_RUN);
}

Test(drain, a_listener_has_one_of_its_own)
{
	struct vly_listener listener = { .index = 7 };
	uint64_t now_ns = vly_clock_get_ns();

	command(VLY_COMMAND_RUN);
	cr_assert_not(vly_drain_has_listener(&listener));
	cr_assert_not(vly_drain_is_listener_on(&shared, &listener));
	vly_drain_begin_listener(&listener, now_ns + UINT64_C(60000000000));
	cr_assert(vly_drain_has_listener(&listener));
	cr_assert(vly_drain_is_listener_on(&shared, &listener));
	command(VLY_COMMAND_STOP);
	cr_assert_not(vly_drain_is_listener_on(&shared, &listener), "a stop ends it");
	command(VLY_COMMAND_RUN);
	vly_drain_begin_listener(&listener, now_ns);
	cr_assert(vly_drain_has_listener(&listener));
	cr_assert_not(vly_drain_is_listener_on(&shared, &listener), "its time is over");
}

Test(drain, late_is_what_somebody_found)
{
	struct vly_drain drain = { .is_late = true };

	vly_drain_init(&drain);
	cr_assert_not(vly_drain_is_late(&drain));
	vly_drain_set_late(&drain);
	cr_assert(vly_drain_is_late(&drain));
}
