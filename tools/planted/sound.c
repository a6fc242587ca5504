/* SPDX-License-Identifier: MIT */

/* No fault: what tells a step that sees faults from one that always fails. */

#include <stdlib.h>

#include <criterion/criterion.h>

Test(planted, sound)
{
	int *room = malloc(sizeof *room);

	cr_assert(room != NULL);
	*room = 1;
	cr_assert(*room == 1);
	free(room);
}
