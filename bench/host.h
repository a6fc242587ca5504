/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

/* Where a figure was measured: machine, kernel, mitigations, commit, versions. */

#include <stdio.h>

void bench_host_print(FILE *file);
void bench_host_print_json(FILE *file);
void bench_host_print_csv(FILE *file); /* lines "# key: value" */
/* In three lines, for below a table. */
void bench_host_print_brief(FILE *file);

/* Why figures of this build are not worth quoting, or NULL. */
const char *bench_host_why_not_quotable(void);

#endif
