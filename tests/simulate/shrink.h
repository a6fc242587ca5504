/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_SHRINK_H
#define TESTS_SIMULATE_SHRINK_H

#include "run.h"
#include "world.h"

/*
 * Leave out of world_cut whatever the fault does not need, one thing after the other: it is the
 * same fault while the oracle's words are the same but for their numbers.
 */
void shrink(uint64_t seed, const struct verdict *verdict);

#endif
