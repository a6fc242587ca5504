/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

/* The table of subcommands. Only main() and help look into it. */

#include <stdbool.h>
#include <stddef.h>

struct bench_options;

struct bench_command {
	const char *name;
	const char *about;
	int (*run)(const struct bench_options *options);
	bool is_measuring;
	bool has_path; /* it has a generator and a server, which --path lies between */
};

/* The i-th, or NULL. */
const struct bench_command *bench_table_get(size_t i);

#endif
