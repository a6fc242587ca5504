/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_GROUPING_H
#define TESTS_LIB_GROUPING_H

/* What vly_coalesce_run() promises, judged without knowing how it does it. */

#include "io/coalesce.h"

/* Most entries that can be judged: what one flush holds. */
enum { GROUPING_N = 1024 };

/*
 * Judge the grouping of entries first to first + n - 1 of tx. NULL when it is right, else what is
 * wrong with it. The rules leave exactly one right result, so there is nothing else to compare
 * with.
 */
const char *grouping_find_fault(const struct vly_tx *tx, uint32_t first, uint32_t n,
				const struct vly_coalesce_limits *limits, const uint16_t *heads,
				uint32_t n_heads);

/* Whether two entries go to one peer the same way. */
bool grouping_is_same(const struct vly_tx *a, const struct vly_tx *b);

#endif
