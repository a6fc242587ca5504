/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_ZONE_GENERATE_H
#define EXAMPLES_DNS_ZONE_GENERATE_H

/* $GENERATE: a record for each number of a range, BIND's addition to master files. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_generate {
	uint32_t first;
	uint32_t last;
	uint32_t step;
};

/* Read "first-last" or "first-last/step"; false when it is none. */
bool dns_generate_read(struct dns_generate *generate, const char *range);

/* How many numbers there are. */
static inline uint64_t dns_generate_count(const struct dns_generate *generate)
{
	return ((uint64_t)generate->last - generate->first) / generate->step + 1;
}

/*
 * The template for one number: $ is the number, ${offset,width,base} a changed one, \$ and $$ a
 * dollar sign. `text` has room for `n_text` bytes; false when that is not enough, or the template
 * is malformed.
 */
bool dns_generate_expand(const char *template, uint32_t number, char *text, size_t n_text);

#endif
