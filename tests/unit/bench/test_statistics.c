/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "common/cpus.h"
#include "common/statistics.h"

Test(statistics, median_of_odd_and_even)
{
	double odd[] = { 9, 1, 5 };
	double even[] = { 4, 1, 3, 2 };

	cr_assert_float_eq(bench_statistics_quantile(odd, 3, 0.5), 5, 1e-12);
	cr_assert_float_eq(bench_statistics_quantile(even, 4, 0.5), 2.5, 1e-12);
}

Test(statistics, quantile_interpolates_and_has_ends)
{
	double values[] = { 40, 10, 30, 20 };

	cr_assert_float_eq(bench_statistics_quantile(values, 4, 0), 10, 1e-12);
	cr_assert_float_eq(bench_statistics_quantile(values, 4, 1), 40, 1e-12);
	cr_assert_float_eq(bench_statistics_quantile(values, 4, 0.25), 17.5, 1e-12);
}

Test(statistics, range_of_nothing_and_of_something)
{
	double values[] = { 3, 1, 2 };
	struct bench_figure none = bench_statistics_range(values, 0);
	struct bench_figure some = bench_statistics_range(values, 3);

	cr_assert_eq(none.n, 0);
	cr_assert_float_eq(some.median, 2, 1e-12);
	cr_assert_float_eq(some.low, 1, 1e-12);
	cr_assert_float_eq(some.high, 3, 1e-12);
}

Test(statistics, bootstrap_of_a_constant_is_a_point)
{
	double values[20];
	struct bench_figure figure;

	for (int i = 0; i < 20; i++)
		values[i] = 7;
	figure = bench_statistics_bootstrap(values, 20, 1);
	cr_assert_float_eq(figure.low, 7, 1e-12);
	cr_assert_float_eq(figure.high, 7, 1e-12);
}

/* n uniform values in [0, 1). */
static void fill(double *values, size_t n, uint64_t seed)
{
	struct bench_random random = { .state = seed };

	for (size_t i = 0; i < n; i++)
		values[i] = (double)(bench_random_get(&random) >> 11) / 9007199254740992.0;
}

/*
 * The true median is 0.5. A 95 % interval holds it in about 95 of 100 samples; one that is too
 * narrow or too wide by a factor of two falls out of these bounds.
 */
Test(statistics, bootstrap_interval_covers_the_median_as_often_as_it_says)
{
	int covered = 0;
	double width = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		double values[51];
		struct bench_figure figure;

		fill(values, 51, seed * 7919);
		figure = bench_statistics_bootstrap(values, 51, seed);
		covered += figure.low <= 0.5 && 0.5 <= figure.high;
		cr_assert_leq(figure.low, figure.median);
		cr_assert_geq(figure.high, figure.median);
		width += (figure.high - figure.low) / 100;
	}
	cr_assert_geq(covered, 88);
	/* The median of n uniform values has a deviation of 1 / (2 sqrt(n)): 4 x 0.07 wide. */
	cr_assert_float_eq(width, 0.27, 0.06);
}

Test(statistics, bootstrap_can_be_had_again)
{
	double a[30], b[30];
	struct bench_figure x, y;

	fill(a, 30, 3);
	fill(b, 30, 3);
	x = bench_statistics_bootstrap(a, 30, 5);
	y = bench_statistics_bootstrap(b, 30, 5);
	cr_assert(x.low == y.low && x.high == y.high);
}

Test(statistics, lists_of_cpus)
{
	struct bench_cpus cpus;

	cr_assert_eq(bench_cpus_parse("1,3,0", &cpus), 0);
	cr_assert_eq(cpus.n, 3);
	cr_assert_eq(cpus.cpu[1], 3);
	cr_assert_lt(bench_cpus_parse("1,,2", &cpus), 0);
	cr_assert_lt(bench_cpus_parse("", &cpus), 0);
	cr_assert_lt(bench_cpus_parse("-1", &cpus), 0);
	cr_assert_eq(cpus.n, 3, "untouched on failure");
}
