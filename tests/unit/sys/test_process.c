/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/process.h"

/* Nothing may remember it: a program may fork. */
Test(process, a_child_has_a_number_of_its_own)
{
	int status = 0;
	pid_t child;

	cr_assert_eq(vly_process_get_id(), getpid());
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0)
		_exit(vly_process_get_id() == getpid() && vly_process_get_id() != getppid() ? 0
											    : 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}
