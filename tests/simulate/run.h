/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_RUN_H
#define TESTS_SIMULATE_RUN_H

#include <stdbool.h>
#include <stdint.h>

/* One world, from its seed to the oracle's verdict, in a process of its own. */

enum { BLAME_BYTES = 400, MAX_JOBS = 256 };

enum kind { KIND_BY_CHANCE, KIND_PLAY, KIND_RESTART, KIND_STEADY };

struct verdict {
	bool is_wrong;
	char blame[BLAME_BYTES];
	uint64_t n_datagrams; /* requests that were sent and replies that came */
	uint64_t n_ns;        /* that passed in it */
};

/* A kind for all; else each is drawn. */
extern enum kind run_kind;

void run_one(uint64_t seed, struct verdict *ret_verdict);

/*
 * n worlds from `seed` on, up to n_jobs at a time; judged() has each as it ends, and says whether
 * to go on.
 */
void run_many(uint64_t seed, uint64_t n, uint32_t n_jobs,
	      bool (*judged)(uint64_t seed, const struct verdict *verdict, void *arg), void *arg);

#endif
