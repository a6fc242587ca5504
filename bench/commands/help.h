/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HELP_H
#define BENCH_HELP_H

/* What --help says. */
void bench_help_print(void);

#endif
