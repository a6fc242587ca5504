/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_MEMORY_H
#define TESTS_SIMULATE_MEMORY_H

/* The heap of a simulated process: the C library's, with a list of what is taken. */

#include "kernel.h"

/* All that the process had. */
void memory_forget(struct process *process);

#endif
