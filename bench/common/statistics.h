/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/* A figure as it is reported: the median and an interval around it. */
struct bench_figure {
	double median;
	double low;
	double high;
	size_t n;
};

/* A small generator of our own (xorshift64*), so that an interval can be had again from a seed. */
struct bench_random {
	uint64_t state;
};
uint64_t bench_random_get(struct bench_random *random);

/* Sorts the values in place. p is 0 to 1; between two values it is interpolated. n is 1 or more. */
double bench_statistics_quantile(double *values, size_t n, double p);

/* The median with its 95 % percentile-bootstrap interval (2,000 resamples). Sorts in place. */
struct bench_figure bench_statistics_bootstrap(double *values, size_t n, uint64_t seed);

/* The median with the smallest and the largest value, for few rounds. Sorts in place. */
struct bench_figure bench_statistics_range(double *values, size_t n);

#endif
