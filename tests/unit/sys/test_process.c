/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/process.h"

static int get_status(pid_t child)
{
	int status = -1;

	cr_assert_eq(waitpid(child, &status, 0), child);
	return status;
}

/* Nothing may remember it: a program may fork. */
Test(process, a_child_has_a_number_of_its_own)
{
	pid_t child;

	cr_assert_eq(vly_process_get_id(), getpid());
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0)
		_exit(vly_process_get_id() == getpid() && vly_process_get_id() != getppid() ? 0
											    : 1);
	cr_assert_eq(get_status(child), 0);
}

Test(process, a_mark_holds_where_it_was_made_and_in_no_child)
{
	struct vly_process process = { 0 };
	pid_t child;

	vly_process_fini(&process);
	cr_assert_eq(vly_process_init(&process), 0);
	cr_assert(vly_process_is_here(&process));
	cr_assert(vly_process_is_home(&process));
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0)
		_exit(vly_process_is_here(&process) || vly_process_is_home(&process));
	cr_assert_eq(get_status(child), 0);
	cr_assert(vly_process_is_home(&process), "the child has wiped its own copy");
	vly_process_fini(&process);
	cr_assert_null(process.page);
}
