/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SATURATE_H
#define BENCH_SATURATE_H

/* What saturate, demo and scale share. */

#include "figures/result.h"
#include "options.h"

struct bench_saturate_config {
	const struct bench_options *options;
	const struct bench_subjects *subjects;
	struct bench_load load;
	double seconds;
	uint32_t n_rounds;
	const char *variant; /* what this measurement is called in the set */
	double x;
	bool shows_void; /* show what void runs gave too, but no ratio of it */
};

/* Measure all subjects under one load and add a row for each. 0 or -errno. */
int bench_saturate_measure(const struct bench_saturate_config *config, struct bench_set *set);

#endif
