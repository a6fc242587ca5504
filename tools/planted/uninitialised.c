/* SPDX-License-Identifier: MIT */

/* A decision on memory that nobody wrote, which valgrind has to see. */

#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

Test(planted, uninitialised)
{
	volatile int *room = malloc(sizeof *room);

	cr_assert(room != NULL);
	if (*room == 42)
		puts("by chance");
	free((void *)room);
}
