/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_TEARDOWN_H
#define TESTS_LIB_TEARDOWN_H

/*
 * Checks in a suite's .fini. Criterion prints an assertion that fails there, and the program ends
 * with 0 all the same (2.4); an abort makes it end with 1. tools/rules/text.py sees to it that
 * there is no cr_assert in one.
 */

#include <stdio.h>
#include <stdlib.h>

#define TEARDOWN_CHECK(condition)                                                                 \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: teardown: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

#endif
