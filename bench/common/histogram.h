/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

/* 64 linear steps per power of two: a value is known to 1/64, 1.6 %, from 1 ns to 584 years. */
#define BENCH_HISTOGRAM_SUB_BITS  6
#define BENCH_HISTOGRAM_N_BUCKETS ((65 - BENCH_HISTOGRAM_SUB_BITS) << BENCH_HISTOGRAM_SUB_BITS)

struct bench_histogram {
	uint64_t n;
	uint64_t max;
	uint64_t buckets[BENCH_HISTOGRAM_N_BUCKETS];
};

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value);
void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from);

/*
 * The smallest recorded step that at least a share p (0 to 1) of the values does not exceed: its
 * upper edge, never above the largest value added. 0 when empty.
 */
uint64_t bench_histogram_get(const struct bench_histogram *histogram, double p);

#endif
