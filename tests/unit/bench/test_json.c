/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

Test(json, values_of_every_type)
{
	struct bench_json *json = bench_json_parse(
		" {\"a\": [1, -2.5e3, true, null], \"b\": {\"c\": \"x\\\"\\u000a\"}} ");
	const struct bench_json *a;

	cr_assert_not_null(json);
	a = bench_json_get(json, "a");
	cr_assert_eq(a->type, BENCH_JSON_ARRAY);
	cr_assert_float_eq(a->child->next->number, -2500, 1e-9);
	cr_assert_float_eq(a->child->next->next->number, 1, 1e-9);
	cr_assert_eq(a->child->next->next->next->type, BENCH_JSON_NULL);
	cr_assert_str_eq(bench_json_get_string(bench_json_get(json, "b"), "c"), "x\"\n");
	cr_assert_str_eq(bench_json_get_string(json, "none"), "");
	bench_json_free(json);
}

Test(json, what_is_broken_is_refused)
{
	static const char *const broken[] = { "",       "{",     "[1,",      "{\"a\" 1}", "\"open",
					      "{a: 1}", "[1 2]", "nonsense", "{\"a\":}",  "[[[" };
	char deep[64];

	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
		cr_assert_null(bench_json_parse(broken[i]), "%s", broken[i]);
	memset(deep, '[', 40);
	memset(deep + 40, ']', 23);
	deep[63] = '\0';
	cr_assert_null(bench_json_parse(deep));
}

Test(json, strings_survive)
{
	const char *hard = "tab\t quote\" back\\ newline\n";
	char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);
	struct bench_json *json;

	bench_json_print_string(hard, file);
	fclose(file);
	json = bench_json_parse(text);
	cr_assert_not_null(json);
	cr_assert_str_eq(json->string, hard);
	bench_json_free(json);
	free(text);
}
