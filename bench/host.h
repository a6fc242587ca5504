/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

/* Where a figure was measured: machine, kernel, mitigations, commit, versions. */

#include <stdio.h>

void bench_host_print(FILE *file);
void bench_host_print_json(FILE *file);

#endif
