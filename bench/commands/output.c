/* SPDX-License-Identifier: MIT */

/*
 * Tables on stdout, files in the --out folder, progress on a terminal, and the verdict on a smoke
 * run.
 */

#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "figures/json.h"

void bench_output_progress(const struct bench_options *options, const char *format, ...)
{
	va_list args;

	if (options->is_quiet || !isatty(STDERR_FILENO))
		return;
	fputs("\r\033[K", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(args);
}

static FILE *open_out(const struct bench_options *options, const char *kind, const char *suffix)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s.%s", options->out, kind, suffix);
	return fopen(path, "we");
}

int bench_output_deliver(const struct bench_options *options, const struct bench_set *set)
{
	FILE *json, *csv;
	int r = 0;

	bench_output_progress(options, "%s", "");
	if (options->is_json)
		r = bench_json_print_set(set, options->line, stdout);
	else
		bench_set_print(set, options->line, stdout);
	fflush(stdout);
	if (options->out == NULL || r < 0)
		return r;
	if (mkdir(options->out, 0777) < 0 && errno != EEXIST)
		return -errno;
	json = open_out(options, set->kind, "json");
	csv = open_out(options, set->kind, "csv");
	if (json != NULL)
		r = bench_json_print_set(set, options->line, json);
	if (csv != NULL)
		bench_set_print_csv(set, options->line, csv);
	if (json == NULL || csv == NULL || fclose(json) != 0 || fclose(csv) != 0)
		return -EIO;
	return r;
}

static int judge(const struct bench_subjects *subjects, const struct bench_set *set,
		 bool is_preloaded)
{
	for (size_t i = 0; i < set->n_rows; i++) {
		const struct bench_subject *subject = bench_subjects_find(subjects,
									  set->rows[i].subject);

		if (set->rows[i].void_reason[0] == '\0' || subject == NULL ||
		    subject->absent != NULL)
			continue;
		if (!is_preloaded || bench_subject_why_not_preloaded(subject) == NULL)
			return -EIO;
	}
	return 0;
}

int bench_output_finish(const struct bench_options *options, const struct bench_subjects *subjects,
			const struct bench_set *set, bool is_preloaded)
{
	int r = bench_output_deliver(options, set);

	return r >= 0 && options->is_smoke ? judge(subjects, set, is_preloaded) : r;
}
