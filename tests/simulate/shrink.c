/* SPDX-License-Identifier: MIT */

#include "shrink.h"

#include <ctype.h>
#include <string.h>

/* Of each number: far fewer than it takes to have tried all. */
enum { MOST_ACTS = 64 };

static bool is_same(const char *a, const char *b)
{
	for (;;) {
		while (isdigit((unsigned char)*a))
			a++;
		while (isdigit((unsigned char)*b))
			b++;
		if (*a != *b)
			return false;
		if (*a == '\0')
			return true;
		a++, b++;
	}
}

static bool try_cut(uint64_t seed, const char *blame)
{
	struct verdict verdict;

	run_one(seed, &verdict);
	return verdict.is_wrong && is_same(verdict.blame, blame);
}

/* As small as it gets, in steps that are halved. */
static void shrink_number(uint64_t seed, const char *blame, uint32_t *number, uint32_t most)
{
	uint32_t least = *number < most ? *number : most;
	uint32_t kept = *number;

	for (uint32_t step = (least + 1) / 2; step > 0;) {
		if (step > least) {
			step /= 2;
			continue;
		}
		*number = least - step;
		if (try_cut(seed, blame)) {
			kept = least = *number;
			continue;
		}
		step /= 2;
	}
	*number = kept;
}

void shrink(uint64_t seed, const struct verdict *verdict)
{
	uint64_t n = verdict->n_datagrams;

	shrink_number(seed, verdict->blame, &world_cut.n_acts, MOST_ACTS);
	for (uint32_t part = 0; part < N_PARTS; part++) {
		world_cut.without |= UINT32_C(1) << part;
		if (!try_cut(seed, verdict->blame))
			world_cut.without &= ~(UINT32_C(1) << part);
	}
	shrink_number(seed, verdict->blame, &world_cut.n_load, n < UINT32_MAX ? (uint32_t)n : 0);
	shrink_number(seed, verdict->blame, &world_cut.n_acts, MOST_ACTS);
}
