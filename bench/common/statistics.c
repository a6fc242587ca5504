/* SPDX-License-Identifier: MIT */

/*
 * Medians and intervals. The machines these figures come from are shared and noisy, and the noise
 * is one-sided: a run is only ever disturbed towards slower. So nothing here takes a mean; the
 * median is resampled with replacement, and the 2.5 and 97.5 percentiles of those medians are the
 * interval. No distribution is assumed.
 */

#include "statistics.h"

#include <stdlib.h>
#include <string.h>

/*
 * At 2,000 the ends of a 95 % interval rest on 50 resamples each; 10,000 moves them by under a
 * tenth of the interval's width and takes five times as long.
 */
#define N_RESAMPLES 2000

uint64_t bench_random_get(struct bench_random *random)
{
	uint64_t x = random->state ? random->state : UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random->state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile_sorted(const double *values, size_t n, double p)
{
	double at = p * (double)(n - 1);
	size_t i = (size_t)at;

	if (i + 1 >= n)
		return values[n - 1];
	return values[i] + (at - (double)i) * (values[i + 1] - values[i]);
}

double bench_statistics_quantile(double *values, size_t n, double p)
{
	qsort(values, n, sizeof *values, compare);
	return quantile_sorted(values, n, p);
}

struct bench_figure bench_statistics_range(double *values, size_t n)
{
	struct bench_figure figure = { .n = n };

	if (n == 0)
		return figure;
	figure.median = bench_statistics_quantile(values, n, 0.5);
	figure.low = values[0];
	figure.high = values[n - 1];
	return figure;
}

struct bench_figure bench_statistics_bootstrap(double *values, size_t n, uint64_t seed)
{
	struct bench_figure figure = bench_statistics_range(values, n);
	struct bench_random random = { .state = seed };
	double *medians;
	double *sample;

	if (n < 2)
		return figure;
	medians = calloc(N_RESAMPLES, sizeof *medians);
	sample = calloc(n, sizeof *sample);
	if (medians != NULL && sample != NULL) {
		for (size_t r = 0; r < N_RESAMPLES; r++) {
			for (size_t i = 0; i < n; i++)
				sample[i] = values[bench_random_get(&random) % n];
			medians[r] = bench_statistics_quantile(sample, n, 0.5);
		}
		figure.low = bench_statistics_quantile(medians, N_RESAMPLES, 0.025);
		figure.high = quantile_sorted(medians, N_RESAMPLES, 0.975);
	}
	free(medians);
	free(sample);
	return figure;
}
