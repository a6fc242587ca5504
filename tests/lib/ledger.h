/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_LEDGER_H
#define TESTS_LIB_LEDGER_H

/* The equations of include/volley/stats.h, checked. */

#include <volley/stats.h>

/* NULL when one snapshot balances; else the equation that does not hold, with its numbers. */
const char *ledger_find_fault(const struct volley_stats *stats);

/* The same for a server: every worker by itself, and, when it rests, the sum over the workers. */
const char *ledger_find_server_fault(struct volley_server *server);

/*
 * Under which name a datagram is dropped that the kernel refuses with this (positive) error, as
 * docs/accounting.md says. Kept apart from the library's own table on purpose.
 */
enum volley_tx_drop ledger_get_drop(int error);

uint64_t ledger_sum(const uint64_t *counts, size_t n);

#endif
