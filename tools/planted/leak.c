/* SPDX-License-Identifier: MIT */

/* An allocation is forgotten. The program itself passes: only the leak log tells. */

#include <stdlib.h>

#include <criterion/criterion.h>

Test(planted, leak)
{
	void *volatile room = malloc(24);

	cr_assert(room != NULL);
	room = NULL;
	cr_assert(room == NULL);
}
