/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MATRIX_LIFE_H
#define TESTS_MATRIX_LIFE_H

/*
 * A server's whole life, from new to free, with a client beside it: what the matrix lets calls fail
 * in.
 */

#include <stdbool.h>
#include <stdint.h>

enum phase {
	PHASE_NEW,
	PHASE_LISTEN,
	PHASE_ADOPT,
	PHASE_START,
	PHASE_RUN,
	PHASE_HANDOVER,
	PHASE_DRAIN,
	PHASE_STOP,
	PHASE_CLOSE,
	N_PHASES,
	PHASE_NONE = N_PHASES, /* before and after; nothing fails there */
};

extern const char *const phase_names[N_PHASES];

/* How a server waits, by what backend, and where its callbacks run. */
struct way {
	const char *name;
	uint32_t wait;
	const char *io;
	uint32_t n_handlers;
	bool own_base; /* config.event_base */
};

enum { N_WAYS = 8 };
extern const struct way ways[N_WAYS];

/* The phase that the life is in; any thread may look. */
enum phase life_get_phase(void);

/* Whether the caller's calls are the test's own, and none of the library's. */
bool life_is_outside(void);

/*
 * Live through it. `is_one` tells that at most one call fails: then everything has to work again
 * after the call that reported it. True when all was well; else the reasons stand on stderr.
 */
bool life_run(const struct way *way, bool is_one);

#endif
