/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_SKIP_H
#define TESTS_LIB_SKIP_H

/*
 * End a Criterion test that cannot run here, and say so: Criterion by itself says it only when told
 * to be verbose. tools/count_tests.py reads the line.
 */

#include <criterion/criterion.h>
#include <stdio.h>

#define skip_test(reason)                               \
	do {                                            \
		fprintf(stderr, "[SKIP] %s\n", reason); \
		cr_skip_test("%s", reason);             \
	} while (0)

#endif
