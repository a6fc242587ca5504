/* SPDX-License-Identifier: MIT */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

/* What a measurement gave, and its three forms: the aligned table, JSON, CSV. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/statistics.h"

#define BENCH_ROW_MAX_VALUES 40

struct bench_value {
	const char *name; /* static text, with the unit where there is one */
	bool has_range;   /* show low and high in the table too */
	bool is_detail;   /* in a second table, below */
	struct bench_figure figure;
};

struct bench_row {
	char subject[32];
	char variant[48];      /* the parameter that was varied, as text */
	double x;              /* and as a number */
	char void_reason[160]; /* not empty: the figures must not be used, and no ratio is shown */
	bool shows_void;       /* the table has them all the same, with the reason behind */
	size_t n_values;
	struct bench_value values[BENCH_ROW_MAX_VALUES];
};

struct bench_set {
	const char *kind; /* the subcommand */
	char title[200];
	const char *baseline; /* subject that ratios refer to, or NULL */
	const char *x_name;   /* what x is, or NULL when nothing was varied */
	size_t n_rows;
	size_t n_room;
	struct bench_row *rows;
	size_t n_notes;
	char notes[8][200];
};

struct bench_row *bench_set_add(struct bench_set *set, const char *subject);
void bench_set_note(struct bench_set *set, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void bench_set_fini(struct bench_set *set);

void bench_row_put(struct bench_row *row, const char *name, double value);
void bench_row_put_detail(struct bench_row *row, const char *name, double value);
void bench_row_put_figure(struct bench_row *row, const char *name, struct bench_figure figure);
void bench_row_void(struct bench_row *row, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* NULL when the row has no such value. */
const struct bench_figure *bench_row_get(const struct bench_row *row, const char *name);

/* With machine, build and command below, because a figure without them means nothing. */
void bench_set_print(const struct bench_set *set, const char *command, FILE *file);
void bench_set_print_csv(const struct bench_set *set, const char *command, FILE *file);

#endif
