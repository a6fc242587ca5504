/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_FIBER_H
#define TESTS_SIMULATE_FIBER_H

/*
 * Coroutines, all on one thread: a stack of its own for each, and its own copy of the program's
 * thread-locals and of errno, which move with it.
 */

#include <stdint.h>

struct fiber;

typedef void (*fiber_fn)(void *arg);

/* Once, before all others: the caller becomes the root. */
void fiber_init(void);

/* It runs when it is first switched to. Its function must not return. Stacks are used again. */
struct fiber *fiber_new(fiber_fn main, void *arg);
void fiber_free(struct fiber *fiber); /* not the one that runs */

struct fiber *fiber_root(void);
void fiber_switch(struct fiber *to);

#endif
