/* SPDX-License-Identifier: MIT */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

/* A result set as JSON (by jansson), and what its readers want of it. */

#include <jansson.h>
#include <stdio.h>

#include "result.h"

/*
 * With machine, build and command, because a figure without them means nothing. 0, or -ENOMEM or
 * -EIO.
 */
int bench_json_print_set(const struct bench_set *set, const char *command, FILE *file);

/* A member of an object: "" when there is no such string, 0 when there is no such number. */
const char *bench_json_get_text(const json_t *object, const char *key);
double bench_json_get_number(const json_t *object, const char *key);

#endif
