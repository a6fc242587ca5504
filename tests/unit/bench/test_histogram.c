/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/histogram.h"

static struct bench_histogram *new_histogram(void)
{
	struct bench_histogram *h = calloc(1, sizeof *h);

	cr_assert_not_null(h);
	return h;
}

Test(histogram, empty_has_no_percentile)
{
	struct bench_histogram *h = new_histogram();

	cr_assert_eq(bench_histogram_get(h, 0.5), 0);
	free(h);
}

Test(histogram, small_values_are_exact)
{
	struct bench_histogram *h = new_histogram();

	for (uint64_t v = 0; v < 64; v++)
		bench_histogram_add(h, v);
	cr_assert_eq(bench_histogram_get(h, 1.0 / 64), 0);
	cr_assert_eq(bench_histogram_get(h, 0.5), 31);
	cr_assert_eq(bench_histogram_get(h, 1), 63);
	free(h);
}

/* Any value alone comes back within 1/64, and never too small. */
Test(histogram, every_magnitude_is_known_to_one_sixty_fourth)
{
	for (int shift = 0; shift < 63; shift++) {
		struct bench_histogram *h = new_histogram();
		uint64_t value = (UINT64_C(1) << shift) + (UINT64_C(1) << shift) / 3;
		uint64_t got;

		bench_histogram_add(h, value);
		bench_histogram_add(h, UINT64_MAX);
		got = bench_histogram_get(h, 0.5);
		cr_assert_geq(got, value);
		cr_assert_leq(got - value, value / 64);
		cr_assert_eq(bench_histogram_get(h, 1), UINT64_MAX);
		free(h);
	}
}

Test(histogram, percentiles_of_a_uniform_spread)
{
	struct bench_histogram *h = new_histogram();

	for (uint64_t v = 1; v <= 100000; v++)
		bench_histogram_add(h, v);
	cr_assert_float_eq((double)bench_histogram_get(h, 0.5), 50000, 50000.0 / 64);
	cr_assert_float_eq((double)bench_histogram_get(h, 0.99), 99000, 99000.0 / 64);
	cr_assert_eq(h->max, 100000);
	free(h);
}

Test(histogram, merge_adds)
{
	struct bench_histogram *a = new_histogram();
	struct bench_histogram *b = new_histogram();

	bench_histogram_add(a, 5);
	bench_histogram_add(b, 50);
	bench_histogram_add(b, 50);
	bench_histogram_merge(a, b);
	cr_assert_eq(a->n, 3);
	cr_assert_eq(a->max, 50);
	cr_assert_eq(bench_histogram_get(a, 0.34), 50);
	cr_assert_eq(bench_histogram_get(a, 0.33), 5);
	free(a);
	free(b);
}
