/* SPDX-License-Identifier: MIT */

/*
 * The rules by which a run is void, in one place. What breaks one is not in any median, and no
 * ratio is made of it.
 */

#include "validity.h"

#include <stdio.h>

/*
 * A server that had time to wait was not what limited the run. One that was busy is judged by its
 * CPU time, whatever the generator could have sent beside: headroom is a column.
 */
#define MIN_BUSY 0.97

/* The generator is late for all of us at times; late by this much it is its own subject. */
#define MIN_SLIP_NS 50000
#define MAX_SLIP    0.1
#define MIN_REPLIED 0.98

bool bench_validity_is_wrong(const struct bench_trial *trial, char *why, size_t n_why)
{
	if (trial->wrong > 0)
		snprintf(why, n_why, "void: %.0f replies were duplicates or not ours",
			 trial->wrong);
	else if (trial->lost_clients > 0)
		snprintf(why, n_why, "void: the generator itself lost %.0f replies",
			 trial->lost_clients);
	else if (trial->unexplained != 0)
		snprintf(why, n_why, "void: %.0f datagrams lost unexplained", trial->unexplained);
	else if (trial->replied == 0)
		snprintf(why, n_why, "void: nothing was replied to");
	else
		return false;
	return true;
}

bool bench_validity_is_void(const struct bench_trial *trial, bool is_smoke, char *why, size_t n_why)
{
	if (bench_validity_is_wrong(trial, why, n_why))
		return true;
	if (is_smoke)
		return false;
	if (trial->replies == 0)
		snprintf(why, n_why, "void: nothing was replied to");
	else if (trial->busy < MIN_BUSY)
		snprintf(why, n_why, "void: the server was only %.0f %% busy", trial->busy * 100);
	else
		return false;
	return true;
}

bool bench_validity_is_void_at(const struct bench_trial *trial, double rate, bool is_smoke,
			       char *why, size_t n_why)
{
	if (bench_validity_is_wrong(trial, why, n_why))
		return true;
	if (is_smoke)
		return false;
	if (trial->slip_p99 > MIN_SLIP_NS && trial->slip_p99 > MAX_SLIP * trial->p99)
		snprintf(why, n_why, "void: the generator itself was %.0f us late (p99)",
			 trial->slip_p99 / 1e3);
	else if (trial->rate < MIN_REPLIED * rate)
		snprintf(why, n_why, "void: only %.0f of %.0f datagrams/s were replied to",
			 trial->rate, rate);
	else
		return false;
	return true;
}

size_t bench_validity_get_ratios(const struct bench_trial *trials, const bool *is_good,
				 const struct bench_trial *base, const bool *is_base_good, size_t n,
				 double *ret_ratios)
{
	size_t n_ratios = 0;

	for (size_t i = 0; i < n; i++)
		if (is_good[i] && is_base_good[i] && base[i].ns_each > 0)
			ret_ratios[n_ratios++] = trials[i].ns_each / base[i].ns_each;
	return n_ratios;
}
