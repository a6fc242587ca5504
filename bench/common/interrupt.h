/* SPDX-License-Identifier: MIT */
#ifndef BENCH_INTERRUPT_H
#define BENCH_INTERRUPT_H

#include <stdbool.h>

/* SIGINT or SIGTERM is pending: main() blocks both, so that nothing is torn down half-way. */
bool bench_interrupt_is_pending(void);

#endif
