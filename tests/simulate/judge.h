/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_JUDGE_H
#define TESTS_SIMULATE_JUDGE_H

#include <volley/volley.h>

#include "kernel.h"

/* Taken and not delivered, but for copies. What a socket still holds at its end is taken too. */
uint64_t judge_count_dropped(const struct volley_stats *stats);

/* Of a server that is closed, whose process had no other. */
void judge_books(struct volley_server *server, const struct process *process);
void judge_refusals(struct volley_server *server, const struct process *process);

#endif
