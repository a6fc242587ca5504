/* SPDX-License-Identifier: MIT */

/*
 * A log-linear histogram: exact below 64, then 64 equal steps in each power of two. Adding is a
 * count-leading-zeros and an increment, so that the generator can afford it for every reply; the
 * size is fixed, so nothing is ever clamped or rescaled.
 */

#include "histogram.h"

#include <math.h>

#define SUB (UINT64_C(1) << BENCH_HISTOGRAM_SUB_BITS)

static uint32_t index_of(uint64_t value)
{
	int shift;

	if (value < SUB)
		return (uint32_t)value;
	shift = 63 - __builtin_clzll(value) - BENCH_HISTOGRAM_SUB_BITS;
	return (uint32_t)((((uint64_t)shift + 1) << BENCH_HISTOGRAM_SUB_BITS) +
			  ((value >> shift) - SUB));
}

/* The largest value that falls into a bucket. */
static uint64_t upper_edge(uint32_t i)
{
	uint32_t shift;

	if (i < SUB)
		return i;
	shift = (i >> BENCH_HISTOGRAM_SUB_BITS) - 1;
	return (((i & (SUB - 1)) + SUB + 1) << shift) - 1;
}

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value)
{
	histogram->buckets[index_of(value)]++;
	histogram->n++;
	if (value > histogram->max)
		histogram->max = value;
}

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from)
{
	for (uint32_t i = 0; i < BENCH_HISTOGRAM_N_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->n += from->n;
	if (from->max > into->max)
		into->max = from->max;
}

uint64_t bench_histogram_get(const struct bench_histogram *histogram, double p)
{
	uint64_t want = (uint64_t)ceil(p * (double)histogram->n);
	uint64_t sum = 0;

	if (want == 0)
		want = 1;
	for (uint32_t i = 0; i < BENCH_HISTOGRAM_N_BUCKETS; i++) {
		sum += histogram->buckets[i];
		if (sum >= want)
			return upper_edge(i) < histogram->max ? upper_edge(i) : histogram->max;
	}
	return histogram->max;
}
