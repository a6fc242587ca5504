/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MATRIX_SITES_H
#define TESTS_MATRIX_SITES_H

/*
 * The calls that the library makes to the system, told apart by where they are made, and the one
 * that is to fail.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fault.h"
#include "matrix/life.h"

enum { SITE_DEPTH = 3, MAX_SITES = 2048 };

/* Who calls: the place itself, its caller, and the caller's caller. */
struct site {
	enum fault_function function;
	long detail;
	void *frames[SITE_DEPTH];
	uint32_t n_calls[N_PHASES];
};

/* A phase, a site in it, and how the call fails: once, or from then on until the phase ends. */
struct cell {
	uint32_t site;
	enum phase phase;
	int error;
	bool is_once;
};

/* Before everything else. False, with the reason on stderr, when there is no memory. */
bool sites_init(void);

/* From here on this process records its calls, for its parent to see, and forgets earlier ones. */
void sites_record(void);

/* Or one of them fails. */
void sites_try(const struct cell *which);

size_t sites_n(void);
const struct site *sites_get(size_t i);

/* How often this process made the call that was to fail. */
unsigned int sites_n_fired(void);

/* The errnos that the man page of a site's call names and that can come to us: up to n of them. */
size_t sites_get_errors(const struct site *site, const int **ret_errors);

/* "setsockopt(1, 15) in open_one <- listen_one <- vly_listener_open", by addr2line. */
void sites_print(const struct site *site, char *text, size_t n_text);

#endif
