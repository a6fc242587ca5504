/* SPDX-License-Identifier: MIT */

/* quick and all: the other subcommands, with sizes that fit their promise about time. */

#include <stddef.h>

#include "commands.h"

typedef int (*measure_fn)(const struct bench_options *options);

/* Two tables in under two minutes: the precise one first. */
int bench_quick(const struct bench_options *options)
{
	struct bench_options mine = *options;
	int r;

	mine.n_rounds = options->n_rounds ? options->n_rounds : 60;
	r = bench_abba(&mine);
	mine.n_rounds = options->n_rounds ? options->n_rounds : 3;
	mine.seconds = options->seconds > 0 ? options->seconds : 0.3;
	if (r >= 0)
		r = bench_saturate(&mine);
	return r >= 0 && mine.out != NULL ? bench_report(&mine) : r;
}

/* null comes last: its servers stay until the process ends. */
int bench_all(const struct bench_options *options)
{
	static const measure_fn measures[] = { bench_abba,  bench_saturate, bench_openloop,
					       bench_scale, bench_stop,     bench_count,
					       bench_null };
	struct bench_options mine = *options;
	int r = 0;

	mine.out = options->out != NULL ? options->out : "volley-bench-results";
	for (size_t i = 0; i < sizeof measures / sizeof measures[0] && r >= 0; i++)
		r = measures[i](&mine);
	mine.argument = NULL;
	return r < 0 ? r : bench_report(&mine);
}
