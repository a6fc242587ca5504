/* SPDX-License-Identifier: MIT */
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

/* What every subcommand shows and writes. */

#include <stdbool.h>

#include "figures/result.h"
#include "options.h"

/* One line of progress, on a terminal only. */
void bench_output_progress(const struct bench_options *options, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Print the set, and write it to the --out folder. 0 or -errno. */
int bench_output_deliver(const struct bench_options *options, const struct bench_set *set);

/*
 * Deliver, and judge a smoke run: it fails, with -EIO, when a subject that can be measured here has
 * no figure.
 */
int bench_output_finish(const struct bench_options *options, const struct bench_subjects *subjects,
			const struct bench_set *set, bool is_preloaded);

#endif
