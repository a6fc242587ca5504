/* SPDX-License-Identifier: MIT */

/* One byte is written behind an allocation; AddressSanitizer and valgrind have to see it. */

#include <stdlib.h>

#include <criterion/criterion.h>

Test(planted, overflow)
{
	volatile size_t n_bytes = 24;
	volatile char *room = malloc(n_bytes);

	cr_assert(room != NULL);
	room[n_bytes] = 1;
	free((void *)room);
}
