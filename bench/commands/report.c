/* SPDX-License-Identifier: MIT */

/*
 * report DIR: plots of every result set in a folder, and one HTML page that holds all of it: the
 * machine, the tables, the plots inline. The page refers to nothing outside itself. Everything
 * comes from the JSON files, so figures of another machine can be looked at here.
 */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "figures/json.h"
#include "figures/plot.h"

#define MAX_FILES   64
#define MAX_COLUMNS 40

struct report {
	const char *folder;
	FILE *page;
	bool has_gnuplot;
};

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	long n;

	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (n = ftell(file)) >= 0) {
		text = calloc(1, (size_t)n + 1);
		rewind(file);
		if (text != NULL && fread(text, 1, (size_t)n, file) != (size_t)n)
			text[0] = '\0';
	}
	fclose(file);
	return text;
}

static void print_escaped(const char *text, FILE *file)
{
	for (; *text != '\0'; text++) {
		if (*text == '<')
			fputs("&lt;", file);
		else if (*text == '&')
			fputs("&amp;", file);
		else
			fputc(*text, file);
	}
}

static void print_cell(const json_t *value, FILE *file)
{
	double median = bench_json_get_number(value, "median");
	double low = bench_json_get_number(value, "low");
	double high = bench_json_get_number(value, "high");
	int digits = median >= 1000 ? 0 : median >= 10 ? 1 : 3;

	if (value == NULL) {
		fputs("<td>-", file);
		return;
	}
	fprintf(file, "<td>%.*f", digits, median);
	if (low < high)
		fprintf(file, " <small>%.*f&ndash;%.*f</small>", digits, low, digits, high);
}

static size_t find_columns(const json_t *rows, const char *columns[MAX_COLUMNS])
{
	size_t n = 0;

	for (size_t r = 0; r < json_array_size(rows); r++) {
		json_t *values = json_object_get(json_array_get(rows, r), "values");

		for (void *at = json_object_iter(values); at != NULL;
		     at = json_object_iter_next(values, at)) {
			const char *key = json_object_iter_key(at);
			size_t c = 0;

			while (c < n && strcmp(columns[c], key) != 0)
				c++;
			if (c == n && n < MAX_COLUMNS)
				columns[n++] = key;
		}
	}
	return n;
}

static void print_table(const json_t *rows, FILE *file)
{
	const char *columns[MAX_COLUMNS];
	size_t n = find_columns(rows, columns);

	fputs("<table><tr><th>subject<th>", file);
	for (size_t c = 0; c < n; c++) {
		fputs("<th>", file);
		print_escaped(columns[c], file);
	}
	for (size_t r = 0; r < json_array_size(rows); r++) {
		const json_t *row = json_array_get(rows, r);

		fputs("\n<tr><td>", file);
		print_escaped(bench_json_get_text(row, "subject"), file);
		fputs("<td>", file);
		print_escaped(bench_json_get_text(row, "variant"), file);
		if (bench_json_get_text(row, "void")[0] != '\0') {
			fprintf(file, "<td colspan=%zu class=void>", n);
			print_escaped(bench_json_get_text(row, "void"), file);
			continue;
		}
		for (size_t c = 0; c < n; c++)
			print_cell(json_object_get(json_object_get(row, "values"), columns[c]),
				   file);
	}
	fputs("</table>\n", file);
}

static void print_pairs(json_t *pairs, FILE *file)
{
	fputs("<table>", file);
	for (void *at = json_object_iter(pairs); at != NULL;
	     at = json_object_iter_next(pairs, at)) {
		const char *key = json_object_iter_key(at);

		fputs("<tr><td>", file);
		print_escaped(key, file);
		fputs("<td class=text>", file);
		print_escaped(bench_json_get_text(pairs, key), file);
	}
	fputs("</table>\n", file);
}

/* The SVG without its XML declaration, which has no place inside a page. */
static void print_plot(struct report *report, const json_t *set, const char *path)
{
	int r = bench_plot_write(set, path);
	char *text = r >= 0 ? read_file(path) : NULL;
	char *svg = text != NULL ? strstr(text, "<svg") : NULL;

	if (r == -ENOENT)
		report->has_gnuplot = false;
	if (svg != NULL)
		fputs(svg, report->page);
	free(text);
}

static int print_set(struct report *report, const char *name, bool is_first)
{
	char path[512];
	json_t *set;
	const json_t *rows, *notes;

	snprintf(path, sizeof path, "%s/%s", report->folder, name);
	set = json_load_file(path, 0, NULL);
	if (set == NULL || strcmp(bench_json_get_text(set, "tool"), "volley-bench") != 0) {
		json_decref(set);
		return 0;
	}
	if (is_first)
		print_pairs(json_object_get(set, "host"), report->page);
	fputs("<h2>", report->page);
	print_escaped(bench_json_get_text(set, "kind"), report->page);
	fputs("</h2>\n<p>", report->page);
	print_escaped(bench_json_get_text(set, "title"), report->page);
	fputs("<br><code>", report->page);
	print_escaped(bench_json_get_text(set, "command"), report->page);
	fputs("</code></p>\n", report->page);
	snprintf(path, sizeof path, "%s/%.*s.svg", report->folder, (int)strcspn(name, "."), name);
	print_plot(report, set, path);
	rows = json_object_get(set, "rows");
	if (json_array_size(rows) > 0)
		print_table(rows, report->page);
	notes = json_object_get(set, "notes");
	for (size_t i = 0; i < json_array_size(notes); i++) {
		const char *note = json_string_value(json_array_get(notes, i));

		fputs("<p>", report->page);
		print_escaped(note != NULL ? note : "", report->page);
	}
	json_decref(set);
	return 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_files(const char *folder, char *names[MAX_FILES])
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	size_t n = 0;

	while (dir != NULL && n < MAX_FILES && (entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0)
			names[n++] = strdup(entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	qsort(names, n, sizeof names[0], by_name);
	return n;
}

static const char head[] =
	"<!DOCTYPE html>\n<meta charset=utf-8>\n<title>volley-bench</title>\n<style>\n"
	"body { font: 15px sans-serif; margin: 2em; max-width: 75em }\n"
	"table { border-collapse: collapse; margin: 1em 0 }\n"
	"td, th { padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd }\n"
	"td:first-child, td:nth-child(2), td.text, td.void { text-align: left }\n"
	"td.void { color: #a40000 } small { color: #777 } svg { max-width: 100% }\n"
	"</style>\n<h1>volley-bench</h1>\n"
	"<p>Small figures are ranges over the rounds; in preload and null, 95 % intervals of the\n"
	"median. A void row says why it has no figures.</p>\n";

int bench_report(const struct bench_options *options)
{
	struct report report = { .folder = options->argument != NULL ? options->argument
								     : options->out,
				 .has_gnuplot = true };
	char *names[MAX_FILES];
	char path[512];
	size_t n;
	int n_sets = 0;

	if (report.folder == NULL) {
		fprintf(stderr, "volley-bench: report DIR\n");
		return -EINVAL;
	}
	snprintf(path, sizeof path, "%s/report.html", report.folder);
	n = list_files(report.folder, names);
	report.page = n > 0 ? fopen(path, "we") : NULL;
	if (report.page != NULL)
		fputs(head, report.page);
	for (size_t i = 0; i < n; i++) {
		if (report.page != NULL)
			n_sets += print_set(&report, names[i], n_sets == 0);
		free(names[i]);
	}
	if (report.page == NULL || fclose(report.page) != 0 || n_sets == 0) {
		fprintf(stderr, "volley-bench: no result of volley-bench in '%s'\n", report.folder);
		return -ENOENT;
	}
	if (!report.has_gnuplot)
		fprintf(stderr, "volley-bench: no plots: gnuplot is not installed\n");
	printf("%s: %d result sets\n", path, n_sets);
	return 0;
}
