/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VALIDITY_H
#define BENCH_VALIDITY_H

/* Which runs may be used. */

#include <stdbool.h>
#include <stddef.h>

#include "trial.h"

/*
 * Why a saturated run is void, as a sentence in `why`; false, and nothing written, when it may be
 * used. A smoke run has to be right, but not busy.
 */
bool bench_validity_is_void(const struct bench_trial *trial, bool is_smoke, char *why,
			    size_t n_why);

/* The same for a run at a fixed rate: it is about latency, so a late generator voids it. */
bool bench_validity_is_void_at(const struct bench_trial *trial, double rate, bool is_smoke,
			       char *why, size_t n_why);

/* Duplicates, foreign replies, unexplained loss: void whatever was measured. */
bool bench_validity_is_wrong(const struct bench_trial *trial, char *why, size_t n_why);

/*
 * Ratios of the rounds in which both have a good run; nothing of a void one goes in. ret_ratios has
 * room for n. How many there are.
 */
size_t bench_validity_get_ratios(const struct bench_trial *trials, const bool *is_good,
				 const struct bench_trial *base, const bool *is_base_good, size_t n,
				 double *ret_ratios);

#endif
