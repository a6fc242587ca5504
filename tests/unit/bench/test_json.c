/* SPDX-License-Identifier: MIT */

/* A result set as JSON, read back by jansson. */

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figures/json.h"

static json_t *print_and_read(const struct bench_set *set, const char *command, char **ret_text)
{
	size_t n;
	FILE *file = open_memstream(ret_text, &n);
	json_t *json;

	cr_assert_not_null(file);
	cr_assert_eq(bench_json_print_set(set, command, file), 0);
	fclose(file);
	json = json_loads(*ret_text, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(json, "%s", *ret_text);
	return json;
}

static const json_t *get_figure(const json_t *json, size_t row, const char *name)
{
	const json_t *rows = json_object_get(json, "rows");

	return json_object_get(json_object_get(json_array_get(rows, row), "values"), name);
}

Test(json, every_member_stands_where_readers_look)
{
	static const char *const members[] = { "tool",   "kind", "title", "command", "baseline",
					       "x_name", "host", "notes", "rows" };
	struct bench_set set = { .kind = "kind", .title = "a \"title\"", .baseline = "base" };
	struct bench_row *row = bench_set_add(&set, "good");
	const json_t *rows, *figure;
	json_t *json;
	char *text;

	bench_row_put_figure(row, "ns", (struct bench_figure){ 1234.5, 1200, 1300, 9 });
	row = bench_set_add(&set, "bad");
	bench_row_void(row, "void: %s", "the reason");
	bench_set_note(&set, "note %d", 1);
	json = print_and_read(&set, "the command", &text);
	cr_assert_eq(json_object_size(json), sizeof members / sizeof members[0]);
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
		cr_assert_not_null(json_object_get(json, members[i]), "%s", members[i]);
	cr_assert_str_eq(bench_json_get_text(json, "title"), "a \"title\"");
	cr_assert_str_eq(bench_json_get_text(json, "baseline"), "base");
	cr_assert_neq(strlen(bench_json_get_text(json_object_get(json, "host"), "kernel")), 0);
	rows = json_object_get(json, "rows");
	cr_assert_str_eq(bench_json_get_text(json_array_get(rows, 0), "subject"), "good");
	cr_assert(json_is_null(json_object_get(json_array_get(rows, 0), "void")));
	cr_assert_str_eq(bench_json_get_text(json_array_get(rows, 1), "void"), "void: the reason");
	figure = get_figure(json, 0, "ns");
	cr_assert_float_eq(bench_json_get_number(figure, "median"), 1234.5, 1e-9);
	cr_assert_float_eq(bench_json_get_number(figure, "high"), 1300, 1e-9);
	cr_assert_eq(json_integer_value(json_object_get(figure, "n")), 9);
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(json, "notes"), 0)),
			 "note 1");
	json_decref(json);
	free(text);
	bench_set_fini(&set);
}

Test(json, hard_strings_survive_and_bytes_that_are_no_utf8_are_named)
{
	const char *hard = "tab\t quote\" back\\ newline\n";
	struct bench_set set = { .kind = "kind" };
	char *text;
	json_t *json = print_and_read(&set, hard, &text);

	cr_assert_str_eq(bench_json_get_text(json, "command"), hard);
	json_decref(json);
	free(text);
	json = print_and_read(&set, "\xff\xfe", &text);
	cr_assert_str_eq(bench_json_get_text(json, "command"), "(not UTF-8)");
	json_decref(json);
	free(text);
	bench_set_fini(&set);
}

Test(json, numbers)
{
	struct bench_set set = { .kind = "kind" };
	struct bench_row *row = bench_set_add(&set, "who");
	json_t *json;
	char *text;

	bench_row_put(row, "whole", 2);
	bench_row_put(row, "tenth", 0.1);
	bench_row_put(row, "large", 1e300);
	bench_row_put(row, "none", NAN);
	bench_row_put(row, "endless", INFINITY);
	json = print_and_read(&set, "", &text);
	cr_assert(json_is_integer(json_object_get(get_figure(json, 0, "whole"), "median")));
	cr_assert_not_null(strstr(text, ": 0.1,"), "no more digits than it has: %s", text);
	cr_assert_float_eq(bench_json_get_number(get_figure(json, 0, "large"), "median"), 1e300,
			   1e290);
	cr_assert(json_is_null(json_object_get(get_figure(json, 0, "none"), "median")));
	cr_assert(json_is_null(json_object_get(get_figure(json, 0, "endless"), "low")));
	json_decref(json);
	free(text);
	bench_set_fini(&set);
}

Test(json, what_is_not_there_is_empty_or_0)
{
	cr_assert_str_eq(bench_json_get_text(NULL, "none"), "");
	cr_assert_float_eq(bench_json_get_number(NULL, "none"), 0, 1e-12);
}
