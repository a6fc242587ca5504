/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

/* Where a figure was measured: machine, kernel, mitigations, commit, versions. */

#include <stddef.h>
#include <stdio.h>

#define BENCH_HOST_N_TEXT    256
#define BENCH_HOST_MAX_FACTS 24

struct bench_host_fact {
	const char *key;
	char text[BENCH_HOST_N_TEXT];
};

struct bench_host {
	size_t n;
	struct bench_host_fact facts[BENCH_HOST_MAX_FACTS];
};

/* Now, and this build. */
void bench_host_get(struct bench_host *ret_host);

void bench_host_print(FILE *file);
void bench_host_print_csv(FILE *file); /* lines "# key: value" */
/* In three lines, for below a table. */
void bench_host_print_brief(FILE *file);

/* Why figures of this build are not worth quoting, or NULL. */
const char *bench_host_why_not_quotable(void);

#endif
