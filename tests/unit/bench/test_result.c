/* SPDX-License-Identifier: MIT */

/* Result sets: the three forms, and that a void figure is not printed. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures/json.h"
#include "figures/result.h"

static struct bench_set make_set(void)
{
	struct bench_set set = { .kind = "kind", .title = "a \"title\"", .baseline = "base" };
	struct bench_row *row = bench_set_add(&set, "good");

	bench_row_put_figure(row, "ns", (struct bench_figure){ 1234.5, 1200, 1300, 9 });
	bench_row_put_detail(row, "n=1", 0.25);
	row = bench_set_add(&set, "bad");
	bench_row_put_figure(row, "ns", (struct bench_figure){ 777777, 700, 800, 9 });
	bench_row_void(row, "void: %s", "the reason");
	bench_row_void(row, "a second reason");
	bench_set_note(&set, "note %d", 1);
	return set;
}

typedef void (*print_fn)(const struct bench_set *set, FILE *file);

static void print_json(const struct bench_set *set, FILE *file)
{
	cr_assert_eq(bench_json_print_set(set, "command", file), 0);
}

static void print_table(const struct bench_set *set, FILE *file)
{
	bench_set_print(set, "the command", file);
}

static void print_csv(const struct bench_set *set, FILE *file)
{
	bench_set_print_csv(set, "the command", file);
}

static char *print(print_fn fn)
{
	struct bench_set set = make_set();
	char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);

	cr_assert_not_null(file);
	fn(&set, file);
	fclose(file);
	bench_set_fini(&set);
	return text;
}

Test(result, table_shows_figures_but_for_a_void_row_the_reason)
{
	char *text = print(print_table);

	cr_assert_not_null(strstr(text, "1,234 (1,200-1,300)"), "%s", text);
	cr_assert_not_null(strstr(text, "void: the reason"), "%s", text);
	cr_assert_null(strstr(text, "777,777"), "%s", text); /* no commit has a comma */
	cr_assert_null(strstr(text, "second reason"), "%s", text);
	cr_assert_not_null(strstr(text, "note 1"), "%s", text);
	/* The detail stands in a table of its own, under a head of its own. */
	cr_assert_gt(strstr(text, "n=1"), strstr(text, "void: the reason"), "%s", text);
	free(text);
}

Test(result, csv_has_a_line_for_each_row)
{
	char *text = print(print_csv);
	int lines = 0;

	for (const char *at = strstr(text, "\nsubject,"); (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	cr_assert_eq(lines, 4);
	cr_assert_not_null(strstr(text, "good,\"\",0,\"\",1234.5,1200,1300,0.25,0.25,0.25\n"), "%s",
			   text);
	free(text);
}

Test(result, every_form_says_where_and_how)
{
	static const char *const keys[] = { "cpu",   "kernel", "mitigations", "commit",
					    "build", "volley", "libevent" };
	static const print_fn forms[] = { print_table, print_json, print_csv };

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		char *text = print(forms[i]);

		cr_assert_not_null(strstr(text, "command"), "%s", text);
		for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
			cr_assert_not_null(strstr(text, keys[k]), "%s: %s", keys[k], text);
		free(text);
	}
}

Test(result, a_void_row_can_show_its_figures_beside_the_reason)
{
	struct bench_set set = { .kind = "kind" };
	struct bench_row *row = bench_set_add(&set, "busy");
	size_t n_bytes;
	char *text;
	FILE *file;

	bench_row_put(row, "value", 4711);
	bench_row_void(row, "void: %s", "why");
	for (int shows = 0; shows < 2; shows++) {
		set.rows[0].shows_void = shows;
		file = open_memstream(&text, &n_bytes);
		bench_set_print(&set, "command", file);
		fclose(file);
		cr_assert_not_null(strstr(text, "void: why"), "%s", text);
		cr_assert_eq(strstr(text, "4,711") != NULL, shows, "%s", text);
		free(text);
	}
	bench_set_fini(&set);
}

Test(result, many_rows)
{
	struct bench_set set = { .kind = "kind" };
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "row %d", i);
		bench_row_put(bench_set_add(&set, name), "value", i);
	}
	cr_assert_eq(set.n_rows, 100);
	cr_assert_str_eq(set.rows[57].subject, "row 57");
	cr_assert_float_eq(bench_row_get(&set.rows[57], "value")->median, 57, 1e-12);
	cr_assert_null(bench_row_get(&set.rows[57], "other"));
	bench_set_fini(&set);
}
