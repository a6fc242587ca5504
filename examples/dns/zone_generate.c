/* SPDX-License-Identifier: MIT */

/*
 * $GENERATE is no part of the standard, but zones of address pools are written with it:
 *
 *	$GENERATE 1-254 host-$ A 192.0.2.$
 *	$GENERATE 0-255/2 ${0,3,d} PTR node-${1,0,x}.example.org.
 *
 * ldns does not know it. We make the text of each record, which is then read as if it had stood in
 * the file. What is not known (BIND's "nibble" bases) is an error.
 */

#include "zone_generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 63, NUMBER_BYTES = 64 + 1 };

/* A decimal number; what follows it, or NULL. */
static const char *read_number(const char *text, uint32_t *ret_number)
{
	uint64_t number = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		number = 10 * number + (uint64_t)(*text - '0');
		if (number > INT32_MAX)
			return NULL;
	}
	*ret_number = (uint32_t)number;
	return text;
}

bool dns_generate_read(struct dns_generate *generate, const char *range)
{
	generate->step = 1;
	range = read_number(range, &generate->first);
	if (range == NULL || *range != '-')
		return false;
	range = read_number(range + 1, &generate->last);
	if (range != NULL && *range == '/')
		range = read_number(range + 1, &generate->step);
	return range != NULL && *range == '\0' && generate->step > 0 &&
	       generate->last >= generate->first;
}

static bool format(uint32_t width, char base, int64_t number, char *text)
{
	if (number < 0 || width > MAX_WIDTH)
		return false;
	switch (base) {
	case 'd':
		snprintf(text, NUMBER_BYTES, "%0*" PRId64, (int)width, number);
		return true;
	case 'o':
		snprintf(text, NUMBER_BYTES, "%0*" PRIo64, (int)width, (uint64_t)number);
		return true;
	case 'x':
		snprintf(text, NUMBER_BYTES, "%0*" PRIx64, (int)width, (uint64_t)number);
		return true;
	case 'X':
		snprintf(text, NUMBER_BYTES, "%0*" PRIX64, (int)width, (uint64_t)number);
		return true;
	default:
		return false;
	}
}

/* {offset,width,base} of which the last ones may be missing; what follows it, or NULL. */
static const char *expand_braces(const char *at, uint32_t number, char *text)
{
	bool is_negative = at[1] == '-';
	uint32_t offset;
	uint32_t width = 0;
	char base = 'd';

	at = read_number(at + 1 + is_negative, &offset);
	if (at != NULL && *at == ',')
		at = read_number(at + 1, &width);
	if (at != NULL && at[0] == ',' && at[1] != '\0') {
		base = at[1];
		at += 2;
	}
	if (at == NULL || *at != '}' ||
	    !format(width, base, (int64_t)number + (is_negative ? -(int64_t)offset : offset), text))
		return NULL;
	return at + 1;
}

/* A dollar sign and what belongs to it; what follows, or NULL. */
static const char *expand_dollar(const char *at, uint32_t number, char *text)
{
	if (at[1] == '{')
		return expand_braces(at + 1, number, text);
	if (at[1] == '$') {
		memcpy(text, "$", 2);
		return at + 2;
	}
	return format(0, 'd', number, text) ? at + 1 : NULL;
}

bool dns_generate_expand(const char *template, uint32_t number, char *text, size_t n_text)
{
	while (*template != '\0') {
		char piece[NUMBER_BYTES] = { template[0], '\0' };
		size_t n;

		if (*template == '$') {
			template = expand_dollar(template, number, piece);
		} else if (template[0] == '\\' && template[1] == '$') {
			piece[0] = '$';
			template += 2;
		} else {
			template ++;
		}
		n = strlen(piece);
		if (template == NULL || n >= n_text)
			return false;
		memcpy(text, piece, n);
		text += n;
		n_text -= n;
	}
	*text = '\0';
	return true;
}
