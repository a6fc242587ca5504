/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GENERATOR_COUNTS_H
#define BENCH_GENERATOR_COUNTS_H

#include <stdint.h>

/* Datagrams, since the generator was opened. */
struct bench_gen_counts {
	uint64_t sent;
	uint64_t send_calls;
	uint64_t send_failed; /* refused by our own kernel; not sent */
	uint64_t received;
	uint64_t unique;
	uint64_t duplicates;
	uint64_t reordered; /* overtaken by a later one of the same client */
	uint64_t foreign;   /* not ours, or of the wrong length */
	uint64_t unstamped; /* too short to carry a stamp: counted, not checked */
	uint64_t assumed_lost;
};

#endif
