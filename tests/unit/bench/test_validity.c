/* SPDX-License-Identifier: MIT */

/* Which runs are void, why, and that no ratio is made of them. */

#include <criterion/criterion.h>
#include <string.h>

#include "figures/validity.h"

static char why[160];

static struct bench_trial make_good(void)
{
	return (struct bench_trial){ .replies = 1000,
				     .rate = 100000,
				     .ns_each = 500,
				     .busy = 0.99,
				     .sent = 1100,
				     .replied = 1100,
				     .p99 = 100e3,
				     .slip_p99 = 9e3 };
}

static bool is_void(const struct bench_trial *trial)
{
	why[0] = '\0';
	return bench_validity_is_void(trial, false, why, sizeof why);
}

Test(validity, a_good_run_is_good)
{
	struct bench_trial trial = make_good();

	cr_assert_not(is_void(&trial));
	cr_assert_str_empty(why);
	cr_assert_not(bench_validity_is_void_at(&trial, 100000, false, why, sizeof why));
}

Test(validity, an_idle_server_voids)
{
	struct bench_trial trial = make_good();

	trial.busy = 0.969;
	cr_assert(is_void(&trial));
	cr_assert_str_eq(why, "void: the server was only 97 % busy");
	cr_assert_not(bench_validity_is_void(&trial, true, why, sizeof why), "smoke");
}

Test(validity, wrong_or_missing_replies_void_even_a_smoke_run)
{
	struct bench_trial trial = make_good();

	trial.wrong = 1;
	cr_assert(bench_validity_is_void(&trial, true, why, sizeof why));
	cr_assert_not_null(strstr(why, "1 replies were duplicates or not ours"));
	trial = make_good();
	trial.unexplained = 3;
	cr_assert(bench_validity_is_void(&trial, true, why, sizeof why));
	cr_assert_not_null(strstr(why, "3 datagrams lost unexplained"));
	trial = make_good();
	trial.unexplained = -3; /* the kernel counted more than was lost */
	cr_assert(is_void(&trial));
	trial = make_good();
	trial.lost_clients = 2;
	cr_assert(is_void(&trial));
	cr_assert_not_null(strstr(why, "the generator itself lost 2 replies"));
	trial = make_good();
	trial.replied = 0;
	cr_assert(is_void(&trial));
	trial = make_good();
	trial.replies = 0;
	cr_assert(is_void(&trial));
}

/* What the kernel counted at the server's socket is a result, not a fault of the run. */
Test(validity, explained_loss_does_not_void)
{
	struct bench_trial trial = make_good();

	trial.lost = 7;
	trial.lost_server = 7;
	cr_assert_not(is_void(&trial));
}

Test(validity, a_late_generator_voids_latency)
{
	struct bench_trial trial = make_good();

	trial.slip_p99 = 60e3; /* more than a tenth of 100 us, and than 50 us */
	cr_assert(bench_validity_is_void_at(&trial, 100000, false, why, sizeof why));
	cr_assert_str_eq(why, "void: the generator itself was 60 us late (p99)");
	trial.p99 = 700e3;
	cr_assert_not(bench_validity_is_void_at(&trial, 100000, false, why, sizeof why));
	cr_assert(bench_validity_is_void_at(&trial, 103000, false, why, sizeof why));
	cr_assert_str_eq(why, "void: only 100000 of 103000 datagrams/s were replied to");
}

Test(validity, ratios_are_of_rounds_in_which_both_are_good)
{
	struct bench_trial base[4] = { make_good(), make_good(), make_good(), make_good() };
	struct bench_trial mine[4] = { make_good(), make_good(), make_good(), make_good() };
	const bool is_base_good[4] = { true, false, true, true };
	const bool is_good[4] = { true, true, false, true };
	double ratios[4];

	for (int i = 0; i < 4; i++)
		mine[i].ns_each = 50 * (i + 1);
	cr_assert_eq(bench_validity_get_ratios(mine, is_good, base, is_base_good, 4, ratios), 2);
	cr_assert_float_eq(ratios[0], 0.1, 1e-12);
	cr_assert_float_eq(ratios[1], 0.4, 1e-12);
	base[0].ns_each = 0;
	cr_assert_eq(bench_validity_get_ratios(mine, is_good, base, is_base_good, 4, ratios), 1);
}
