/* SPDX-License-Identifier: MIT */

/*
 * Plots, by gnuplot, from the JSON of a result set:
 *
 *  - a set in which nothing was varied: a bar per subject with its interval, of the ratio where
 *    there is one, else of the cost;
 *  - latency: the percentiles of each subject at half its knee;
 *  - any other set: a curve per subject over what was varied.
 *
 * Void rows are not drawn.
 */

#include "plot.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define MAX_SUBJECTS 48

/* Candidates for the y axis, the first that the set has. */
static const char *const measures[] = { "ratio",          "ns/datagram", "knee datagrams/s",
					"answered/s",     "p99 us",      "instructions/datagram",
					"calls/datagram", NULL };

static const char *const percentiles[] = {
	"p50 us", "p90 us", "p99 us", "p99.9 us", "max us", NULL
};

static const struct bench_json *get_rows(const struct bench_json *set)
{
	const struct bench_json *rows = bench_json_get(set, "rows");

	return rows ? rows->child : NULL;
}

static bool is_void(const struct bench_json *row)
{
	return bench_json_get_string(row, "void")[0] != '\0';
}

static const struct bench_json *get_value(const struct bench_json *row, const char *name)
{
	return bench_json_get(bench_json_get(row, "values"), name);
}

static const char *find_measure(const struct bench_json *set)
{
	for (size_t i = 0; measures[i]; i++)
		for (const struct bench_json *row = get_rows(set); row; row = row->next)
			if (!is_void(row) && get_value(row, measures[i]))
				return measures[i];
	return NULL;
}

static size_t find_subjects(const struct bench_json *set, const char *subjects[MAX_SUBJECTS])
{
	size_t n = 0;

	for (const struct bench_json *row = get_rows(set); row; row = row->next) {
		const char *name = bench_json_get_string(row, "subject");
		size_t i = 0;

		while (i < n && strcmp(subjects[i], name) != 0)
			i++;
		if (i == n && n < MAX_SUBJECTS && !is_void(row))
			subjects[n++] = name;
	}
	return n;
}

static void plot_bars(const struct bench_json *set, const char *measure, FILE *file)
{
	fprintf(file,
		"set style fill solid 0.6\nset boxwidth 0.6\n"
		"set xtics rotate by -35\nset yrange [0:*]\n"
		"set ylabel '%s'\nunset key\nset grid y\n"
		"plot '-' using 0:2:3:4:(0.6):xtic(1) with boxerrorbars lc rgb '#3465a4'%s\n",
		measure, strcmp(measure, "ratio") == 0 ? ", 1 lc rgb '#cc0000' dt 2" : "");
	for (const struct bench_json *row = get_rows(set); row; row = row->next) {
		const struct bench_json *value = get_value(row, measure);

		if (!is_void(row) && value)
			fprintf(file, "\"%s\" %.10g %.10g %.10g\n",
				bench_json_get_string(row, "subject"),
				bench_json_get_number(value, "median"),
				bench_json_get_number(value, "low"),
				bench_json_get_number(value, "high"));
	}
	fputs("e\n", file);
}

static void plot_series(const char *const *subjects, size_t n, FILE *file)
{
	for (size_t i = 0; i < n; i++)
		fprintf(file, "%s'-' using 1:2 with linespoints lw 1.5 pt %zu title \"%s\"",
			i ? ", " : "plot ", i + 4, subjects[i]);
	fputc('\n', file);
}

static void plot_latency(const struct bench_json *set, const char *const *subjects, size_t n,
			 FILE *file)
{
	fputs("set logscale y\nset ylabel 'microseconds from the intended send time'\nset grid y\n"
	      "set xtics ('p50' 0, 'p90' 1, 'p99' 2, 'p99.9' 3, 'max' 4)\nset xrange [-0.2:4.2]\n"
	      "set key outside right noenhanced\n",
	      file);
	plot_series(subjects, n, file);
	for (size_t i = 0; i < n; i++) {
		for (const struct bench_json *row = get_rows(set); row; row = row->next)
			for (int p = 0; percentiles[p]; p++)
				if (!is_void(row) && bench_json_get_number(row, "x") == 50 &&
				    strcmp(bench_json_get_string(row, "subject"), subjects[i]) == 0)
					fprintf(file, "%d %.10g\n", p,
						bench_json_get_number(
							get_value(row, percentiles[p]), "median"));
		fputs("e\n", file);
	}
}

static void plot_curves(const struct bench_json *set, const char *measure,
			const char *const *subjects, size_t n, FILE *file)
{
	fprintf(file,
		"set logscale x\nset yrange [0:*]\nset xlabel '%s'\nset ylabel '%s'\nset grid y\n"
		"set key outside right noenhanced\n",
		bench_json_get_string(set, "x_name"), measure);
	plot_series(subjects, n, file);
	for (size_t i = 0; i < n; i++) {
		for (const struct bench_json *row = get_rows(set); row; row = row->next) {
			const struct bench_json *value = get_value(row, measure);

			if (!is_void(row) && value &&
			    strcmp(bench_json_get_string(row, "subject"), subjects[i]) == 0)
				fprintf(file, "%.10g %.10g\n", bench_json_get_number(row, "x"),
					bench_json_get_number(value, "median"));
		}
		fputs("e\n", file);
	}
}

/* Curves are about the absolute cost: a ratio's baseline would be a flat line. */
static const char *get_curve_measure(const struct bench_json *set)
{
	for (const struct bench_json *row = get_rows(set); row; row = row->next)
		if (get_value(row, "answered/s"))
			return "answered/s";
	return "ns/datagram";
}

int bench_plot_write(const struct bench_json *set, const char *path)
{
	const char *subjects[MAX_SUBJECTS];
	size_t n = find_subjects(set, subjects);
	const char *measure = find_measure(set);
	const char *kind = bench_json_get_string(set, "kind");
	FILE *file;

	if (n == 0 || !measure)
		return -ENODATA;
	/* A fixed command; the PATH is the user's own. */
	file = popen("gnuplot 2>/dev/null", "we"); /* NOLINT(cert-env33-c) */
	if (!file)
		return -ENOENT;
	fprintf(file,
		"set terminal svg size 760,380 font 'sans-serif,12'\nset output '%s'\n"
		"set title \"%s\" noenhanced\nset xtics noenhanced\n"
		"set border 3\nset tics nomirror\n",
		path, kind);
	if (strcmp(kind, "latency") == 0)
		plot_latency(set, subjects, n, file);
	else if (bench_json_get_string(set, "x_name")[0] != '\0')
		plot_curves(set, get_curve_measure(set), subjects, n, file);
	else
		plot_bars(set, measure, file);
	return pclose(file) == 0 ? 0 : -ENOENT;
}
