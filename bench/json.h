/* SPDX-License-Identifier: MIT */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

/* Just enough JSON: strings out, and a reader for what we wrote ourselves. */

#include <stddef.h>
#include <stdio.h>

void bench_json_print_string(const char *text, FILE *file);

enum bench_json_type {
	BENCH_JSON_NULL = 0,
	BENCH_JSON_NUMBER,
	BENCH_JSON_STRING,
	BENCH_JSON_ARRAY,
	BENCH_JSON_OBJECT,
};

struct bench_json {
	enum bench_json_type type;
	double number; /* true and false are 1 and 0 */
	char *string;
	char *key; /* in an object */
	struct bench_json *child;
	struct bench_json *next;
};

/* NULL when the text is not JSON, or for lack of memory. */
struct bench_json *bench_json_parse(const char *text);
void bench_json_free(struct bench_json *json);

/* A member of an object, or NULL. */
const struct bench_json *bench_json_get(const struct bench_json *json, const char *key);
/* "" when it is not a string; 0 when it is not a number. */
const char *bench_json_get_string(const struct bench_json *json, const char *key);
double bench_json_get_number(const struct bench_json *json, const char *key);

#endif
