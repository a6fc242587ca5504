/* SPDX-License-Identifier: MIT */

/*
 * Result sets. A row is one subject under one setting of the parameter that is varied. Its values
 * are named, in the order in which they were put. The table's columns are the union of the names. A
 * void row keeps its figures in the JSON, to find out why. The table shows the reason in their
 * place: a void figure that is printed gets quoted.
 */

#include "result.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define MAX_COLUMNS 64
#define CELL        112

struct bench_row *bench_set_add(struct bench_set *set, const char *subject)
{
	struct bench_row *row;

	if (set->n_rows == set->n_room) {
		size_t n_room = set->n_room ? set->n_room * 2 : 16;
		struct bench_row *rows = realloc(set->rows, n_room * sizeof *rows);

		if (rows == NULL)
			abort();
		set->rows = rows;
		set->n_room = n_room;
	}
	row = &set->rows[set->n_rows++];
	memset(row, 0, sizeof *row);
	snprintf(row->subject, sizeof row->subject, "%s", subject);
	return row;
}

void bench_set_note(struct bench_set *set, const char *format, ...)
{
	va_list args;

	if (set->n_notes == sizeof set->notes / sizeof set->notes[0])
		return;
	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 sees no va_start. */
	vsnprintf(set->notes[set->n_notes++], sizeof set->notes[0], format, args);
	va_end(args);
}

void bench_set_fini(struct bench_set *set)
{
	free(set->rows);
	*set = (struct bench_set){ 0 };
}

static void put(struct bench_row *row, struct bench_value value)
{
	if (row->n_values < BENCH_ROW_MAX_VALUES)
		row->values[row->n_values++] = value;
}

void bench_row_put(struct bench_row *row, const char *name, double value)
{
	put(row, (struct bench_value){ .name = name, .figure = { value, value, value, 1 } });
}

void bench_row_put_detail(struct bench_row *row, const char *name, double value)
{
	put(row, (struct bench_value){
			 .name = name, .is_detail = true, .figure = { value, value, value, 1 } });
}

void bench_row_put_figure(struct bench_row *row, const char *name, struct bench_figure figure)
{
	put(row, (struct bench_value){ .name = name, .has_range = true, .figure = figure });
}

void bench_row_void(struct bench_row *row, const char *format, ...)
{
	va_list args;

	if (row->void_reason[0] != '\0')
		return; /* the first reason stands */
	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 sees no va_start. */
	vsnprintf(row->void_reason, sizeof row->void_reason, format, args);
	va_end(args);
}

const struct bench_figure *bench_row_get(const struct bench_row *row, const char *name)
{
	for (size_t i = 0; i < row->n_values; i++)
		if (strcmp(row->values[i].name, name) == 0)
			return &row->values[i].figure;
	return NULL;
}

/* 1,234,567 or 12.3 or 0.0123: four digits are more than any of these figures is worth. */
static int format_number(double value, char *text, size_t n_text)
{
	char digits[32];
	size_t n = 0;
	int len;

	if (value == floor(value) && fabs(value) < 1000)
		return snprintf(text, n_text, "%.0f", value);
	if (fabs(value) < 1000)
		return snprintf(text, n_text, "%.*f",
				fabs(value) < 10    ? 3
				: fabs(value) < 100 ? 2
						    : 1,
				value);
	len = snprintf(digits, sizeof digits, "%.0f", value);
	for (int i = 0; i < len && n + 2 < n_text; i++) {
		if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
			text[n++] = ',';
		text[n++] = digits[i];
	}
	text[n] = '\0';
	return (int)n;
}

static void format_cell(const struct bench_value *value, char *text, size_t n_text)
{
	char median[32], low[32], high[32];

	format_number(value->figure.median, median, sizeof median);
	if (!value->has_range || value->figure.n < 2) {
		snprintf(text, n_text, "%s", median);
		return;
	}
	format_number(value->figure.low, low, sizeof low);
	format_number(value->figure.high, high, sizeof high);
	snprintf(text, n_text, "%s (%s-%s)", median, low, high);
}

/*
 * The columns of a table, or of its details, in the order in which they first appear, behind the n
 * that are there already. How many there are then.
 */
static size_t find_columns(const struct bench_set *set, bool details, size_t n,
			   const char *columns[MAX_COLUMNS])
{
	for (size_t r = 0; r < set->n_rows; r++) {
		const struct bench_row *row = &set->rows[r];

		for (size_t v = 0; v < row->n_values; v++) {
			size_t c = 0;

			while (c < n && strcmp(columns[c], row->values[v].name) != 0)
				c++;
			if (c == n && n < MAX_COLUMNS && row->values[v].is_detail == details)
				columns[n++] = row->values[v].name;
		}
	}
	return n;
}

/* Of a void row the reason stands in place of its figures, or behind them. */
static bool has_cells(const struct bench_row *row)
{
	return row->void_reason[0] == '\0' || row->shows_void;
}

static void get_cell(const struct bench_row *row, const char *name, char *text, size_t n_text)
{
	snprintf(text, n_text, "-");
	for (size_t v = 0; v < row->n_values; v++)
		if (strcmp(row->values[v].name, name) == 0)
			format_cell(&row->values[v], text, n_text);
}

static void print_row(const struct bench_row *row, const char *const *columns, const int *widths,
		      size_t n_columns, FILE *file)
{
	char cell[CELL];

	if (!has_cells(row)) {
		fprintf(file, "  %s\n", row->void_reason);
		return;
	}
	for (size_t c = 0; c < n_columns; c++) {
		get_cell(row, columns[c], cell, sizeof cell);
		fprintf(file, "  %*s", widths[c], cell);
	}
	if (row->void_reason[0] != '\0')
		fprintf(file, "  %s", row->void_reason);
	fputc('\n', file);
}

static void print_table(const struct bench_set *set, bool details, FILE *file)
{
	const char *columns[MAX_COLUMNS];
	size_t n = find_columns(set, details, 0, columns);
	int widths[MAX_COLUMNS];
	int n_variant = 0, n_subject = 7;
	char cell[CELL];

	if (details && n == 0)
		return;
	for (size_t c = 0; c < n; c++)
		widths[c] = (int)strlen(columns[c]);
	for (size_t r = 0; r < set->n_rows; r++) {
		const struct bench_row *row = &set->rows[r];

		n_subject = (int)fmax(n_subject, (double)strlen(row->subject));
		n_variant = (int)fmax(n_variant, (double)strlen(row->variant));
		for (size_t c = 0; c < n && has_cells(row); c++) {
			get_cell(row, columns[c], cell, sizeof cell);
			widths[c] = (int)fmax(widths[c], (double)strlen(cell));
		}
	}
	fprintf(file, "\n%-*s", n_subject, "subject");
	if (n_variant)
		fprintf(file, "  %-*s", n_variant, "");
	for (size_t c = 0; c < n; c++)
		fprintf(file, "  %*s", widths[c], columns[c]);
	fputc('\n', file);
	for (size_t r = 0; r < set->n_rows; r++) {
		const struct bench_row *row = &set->rows[r];

		if (details && !has_cells(row))
			continue;
		fprintf(file, "%-*s", n_subject, row->subject);
		if (n_variant)
			fprintf(file, "  %-*s", n_variant, row->variant);
		print_row(row, columns, widths, n, file);
	}
}

void bench_set_print(const struct bench_set *set, const char *command, FILE *file)
{
	fprintf(file, "\n%s: %s\n", set->kind, set->title);
	print_table(set, false, file);
	print_table(set, true, file);
	for (size_t i = 0; i < set->n_notes; i++)
		fprintf(file, "%s%s\n", i ? "" : "\n", set->notes[i]);
	fputc('\n', file);
	bench_host_print_brief(file);
	fprintf(file, "%s\n", command);
}

/* A text of ours in a quoted cell. */
static void print_quoted(const char *text, FILE *file)
{
	fputc('"', file);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', file);
		fputc(*text, file);
	}
	fputc('"', file);
}

static void print_row_csv(const struct bench_row *row, const char *const *columns, size_t n_columns,
			  FILE *file)
{
	fprintf(file, "%s,", row->subject);
	print_quoted(row->variant, file);
	fprintf(file, ",%.10g,", row->x);
	print_quoted(row->void_reason, file);
	for (size_t c = 0; c < n_columns; c++) {
		const struct bench_figure *figure = bench_row_get(row, columns[c]);

		if (figure != NULL)
			fprintf(file, ",%.10g,%.10g,%.10g", figure->median, figure->low,
				figure->high);
		else
			fprintf(file, ",,,");
	}
	fputc('\n', file);
}

/* What describes the whole file comes first, in lines that begin with '#'. */
void bench_set_print_csv(const struct bench_set *set, const char *command, FILE *file)
{
	const char *columns[MAX_COLUMNS];
	size_t n = find_columns(set, true, find_columns(set, false, 0, columns), columns);

	fprintf(file, "# kind: %s\n# title: %s\n# command: %s\n# baseline: %s\n", set->kind,
		set->title, command, set->baseline != NULL ? set->baseline : "");
	bench_host_print_csv(file);
	fprintf(file, "subject,variant,x,void");
	for (size_t c = 0; c < n; c++)
		fprintf(file, ",\"%s\",\"%s low\",\"%s high\"", columns[c], columns[c], columns[c]);
	fputc('\n', file);
	for (size_t r = 0; r < set->n_rows; r++)
		print_row_csv(&set->rows[r], columns, n, file);
}
