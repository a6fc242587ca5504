/* SPDX-License-Identifier: MIT */

/*
 * Plots, by gnuplot, from the JSON of a result set:
 *
 *  - a set in which nothing was varied: a bar per subject with its interval, of the throughput
 *    where there is one, else of the ratio, else of the cost;
 *  - latency: the percentiles of each subject at half its knee;
 *  - any other set: a curve per subject over what was varied, with its intervals.
 *
 * volley is drawn in one colour and with solid lines, peers in another and dashed. Void rows are
 * not drawn.
 */

#include "plot.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "json.h"

#define MAX_SUBJECTS 48

/* Candidates for the y axis, the first that the set has, and what it is in words. */
static const struct measure {
	const char *name;
	const char *label;
} measures[] = {
	{ "replies/cpu-s", "replies per second of server CPU (more is better)" },
	{ "ratio", "CPU per datagram, relative to the baseline (less is better)" },
	{ "knee datagrams/s", "datagrams/s with a loss of at most 0.1 %" },
	{ "instructions/datagram", "user-space instructions per datagram" },
	{ "replies/s", "datagrams replied to per second" },
	{ "ns/datagram", "ns of CPU per datagram (less is better)" },
	{ "p99 us", "99th percentile, microseconds" },
	{ NULL, NULL },
};

static const char *const percentiles[] = {
	"p50 us", "p90 us", "p99 us", "p99.9 us", "max us", NULL
};

/* The i-th row, or NULL. */
static const json_t *get_row(const json_t *set, size_t i)
{
	return json_array_get(json_object_get(set, "rows"), i);
}

static bool is_void(const json_t *row)
{
	return bench_json_get_text(row, "void")[0] != '\0';
}

static const json_t *get_value(const json_t *row, const char *name)
{
	return json_object_get(json_object_get(row, "values"), name);
}

static const struct measure *find_measure(const json_t *set)
{
	const json_t *row;

	for (size_t i = 0; measures[i].name != NULL; i++)
		for (size_t r = 0; (row = get_row(set, r)) != NULL; r++)
			if (!is_void(row) && get_value(row, measures[i].name) != NULL)
				return &measures[i];
	return NULL;
}

/* Ours, in the end, and to be seen at once. */
static bool is_volley(const char *subject)
{
	return strncmp(subject, "volley", strlen("volley")) == 0;
}

static size_t find_subjects(const json_t *set, const char *subjects[MAX_SUBJECTS])
{
	const json_t *row;
	size_t n = 0;

	for (size_t r = 0; (row = get_row(set, r)) != NULL; r++) {
		const char *name = bench_json_get_text(row, "subject");
		size_t i = 0;

		while (i < n && strcmp(subjects[i], name) != 0)
			i++;
		if (i == n && n < MAX_SUBJECTS && !is_void(row))
			subjects[n++] = name;
	}
	return n;
}

static void plot_bars(const json_t *set, const struct measure *measure, FILE *file)
{
	const json_t *row;

	fprintf(file,
		"set style fill solid 0.6\nset boxwidth 0.6\nset rmargin 12\n"
		"set xtics rotate by -35 scale 0\nset yrange [0:*]\nset format y '%%.10g'\n"
		"set ylabel \"%s\"\nunset key\nset grid y\n"
		"plot '-' using 0:2:3:4:(0.6):5:xtic(1) with boxerrorbars lc rgb variable%s\n",
		measure->label,
		strcmp(measure->name, "ratio") == 0 ? ", 1 lc rgb '#cc0000' dt 2" : "");
	for (size_t r = 0; (row = get_row(set, r)) != NULL; r++) {
		const json_t *value = get_value(row, measure->name);
		const char *subject = bench_json_get_text(row, "subject");

		if (is_void(row) || value == NULL)
			continue;
		fprintf(file, "\"%s%s%s\" %.10g %.10g %.10g %d\n", subject,
			bench_json_get_text(row, "variant")[0] != '\0' ? " " : "",
			bench_json_get_text(row, "variant"), bench_json_get_number(value, "median"),
			bench_json_get_number(value, "low"), bench_json_get_number(value, "high"),
			is_volley(subject) ? 0xce5c00 : 0x3465a4);
	}
	fputs("e\n", file);
}

static void plot_series(const char *const *subjects, size_t n, const char *style, FILE *file)
{
	for (size_t i = 0; i < n; i++)
		fprintf(file, "%s'-' %s lt %zu lw %s dt %d pt %zu ps 0.6 title \"%s\"",
			i ? ", " : "plot ", style, i + 1, is_volley(subjects[i]) ? "2" : "1.2",
			is_volley(subjects[i]) ? 1 : 2, i + 4, subjects[i]);
	fputc('\n', file);
}

static void plot_latency(const json_t *set, const char *const *subjects, size_t n, FILE *file)
{
	const json_t *row;

	fputs("set logscale y\nset ylabel 'microseconds from the intended send time'\nset grid y\n"
	      "set xtics ('p50' 0, 'p90' 1, 'p99' 2, 'p99.9' 3, 'max' 4)\nset xrange [-0.2:4.2]\n"
	      "set key outside right noenhanced\n",
	      file);
	plot_series(subjects, n, "using 1:2 with linespoints", file);
	for (size_t i = 0; i < n; i++) {
		for (size_t r = 0; (row = get_row(set, r)) != NULL; r++)
			for (int p = 0; percentiles[p] != NULL; p++)
				if (!is_void(row) && bench_json_get_number(row, "x") == 50 &&
				    strcmp(bench_json_get_text(row, "subject"), subjects[i]) == 0)
					fprintf(file, "%d %.10g\n", p,
						bench_json_get_number(
							get_value(row, percentiles[p]), "median"));
		fputs("e\n", file);
	}
}

/* Powers of 10 or 2 where the x axis spans many of them. */
static void set_x_axis(const json_t *set, FILE *file)
{
	double low = 0, high = 0;
	const json_t *row;

	for (size_t r = 0; (row = get_row(set, r)) != NULL; r++) {
		double x = bench_json_get_number(row, "x");

		low = low == 0 || x < low ? x : low;
		high = x > high ? x : high;
	}
	if (high >= 8 * low)
		fprintf(file, "set logscale x %d\n", high > 1000 * low ? 10 : 2);
	fprintf(file, "set xrange [%.10g:%.10g]\nset xlabel \"%s\"\n", low / 1.3, high * 1.3,
		bench_json_get_text(set, "x_name"));
}

static void plot_curves(const json_t *set, const struct measure *measure,
			const char *const *subjects, size_t n, FILE *file)
{
	const json_t *row;

	set_x_axis(set, file);
	fprintf(file,
		"set yrange [0:*]\nset format xy '%%.10g'\nset ylabel \"%s\"\nset grid y\n"
		"set key outside right noenhanced\n",
		measure->label);
	plot_series(subjects, n, "using 1:2:3:4 with yerrorlines", file);
	for (size_t i = 0; i < n; i++) {
		for (size_t r = 0; (row = get_row(set, r)) != NULL; r++) {
			const json_t *value = get_value(row, measure->name);

			if (!is_void(row) && value != NULL &&
			    strcmp(bench_json_get_text(row, "subject"), subjects[i]) == 0)
				fprintf(file, "%.10g %.10g %.10g %.10g\n",
					bench_json_get_number(row, "x"),
					bench_json_get_number(value, "median"),
					bench_json_get_number(value, "low"),
					bench_json_get_number(value, "high"));
		}
		fputs("e\n", file);
	}
}

int bench_plot_write(const json_t *set, const char *path)
{
	const char *subjects[MAX_SUBJECTS];
	size_t n = find_subjects(set, subjects);
	const struct measure *measure = find_measure(set);
	const char *kind = bench_json_get_text(set, "kind");
	FILE *file;

	if (n == 0 || measure == NULL)
		return -ENODATA;
	/* A fixed command; the PATH is the user's own. */
	file = popen("gnuplot 2>/dev/null", "we"); /* NOLINT(cert-env33-c) */
	if (file == NULL)
		return -ENOENT;
	fprintf(file,
		"set terminal svg size 860,%d font 'sans-serif,12' background 'white'\n"
		"set output '%s'\nset title \"%s: %s\" noenhanced\nset xtics noenhanced\n"
		"set border 3\nset tics nomirror\n",
		n > 8 ? 460 : 380, path, kind, bench_json_get_text(set, "title"));
	if (strcmp(kind, "latency") == 0)
		plot_latency(set, subjects, n, file);
	else if (bench_json_get_text(set, "x_name")[0] != '\0')
		plot_curves(set, measure, subjects, n, file);
	else
		plot_bars(set, measure, file);
	return pclose(file) == 0 ? 0 : -ENOENT;
}
