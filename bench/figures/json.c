/* SPDX-License-Identifier: MIT */

/*
 * A result set as JSON. jansson keeps the members in the order in which they are put, so the file
 * reads like the table. A JSON number can be neither infinite nor NaN; such a figure is null.
 */

#include "json.h"

#include <errno.h>
#include <math.h>

#include "host.h"

/* Ten digits: more than any of these figures is worth. */
#define PRECISION 10

/* Whole numbers are written without a point. */
static json_t *make_number(double value)
{
	if (!isfinite(value))
		return json_null();
	if (value == rint(value) && fabs(value) < 1e10)
		return json_integer((json_int_t)value);
	return json_real(value);
}

/* A command line may hold any bytes; JSON holds UTF-8. */
static json_t *make_text(const char *text)
{
	json_t *string = json_string(text);

	return string != NULL ? string : json_string("(not UTF-8)");
}

static json_t *make_host(void)
{
	json_t *object = json_object();
	struct bench_host host;

	bench_host_get(&host);
	for (size_t i = 0; i < host.n; i++)
		json_object_set_new(object, host.facts[i].key, make_text(host.facts[i].text));
	return object;
}

static json_t *make_notes(const struct bench_set *set)
{
	json_t *array = json_array();

	for (size_t i = 0; i < set->n_notes; i++)
		json_array_append_new(array, make_text(set->notes[i]));
	return array;
}

static json_t *make_values(const struct bench_row *row)
{
	json_t *object = json_object();

	for (size_t v = 0; v < row->n_values; v++) {
		const struct bench_figure *figure = &row->values[v].figure;

		json_object_set_new(
			object, row->values[v].name,
			json_pack("{s:o, s:o, s:o, s:I}", "median", make_number(figure->median),
				  "low", make_number(figure->low), "high",
				  make_number(figure->high), "n", (json_int_t)figure->n));
	}
	return object;
}

static json_t *make_rows(const struct bench_set *set)
{
	json_t *array = json_array();

	for (size_t r = 0; r < set->n_rows; r++) {
		const struct bench_row *row = &set->rows[r];
		json_t *reason = row->void_reason[0] != '\0' ? make_text(row->void_reason)
							     : json_null();

		json_array_append_new(array,
				      json_pack("{s:o, s:o, s:o, s:o, s:o}", "subject",
						make_text(row->subject), "variant",
						make_text(row->variant), "x", make_number(row->x),
						"void", reason, "values", make_values(row)));
	}
	return array;
}

int bench_json_print_set(const struct bench_set *set, const char *command, FILE *file)
{
	json_t *object = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "tool",
				   "volley-bench", "kind", make_text(set->kind), "title",
				   make_text(set->title), "command", make_text(command), "baseline",
				   make_text(set->baseline != NULL ? set->baseline : ""), "x_name",
				   make_text(set->x_name != NULL ? set->x_name : ""), "host",
				   make_host(), "notes", make_notes(set), "rows", make_rows(set));
	int r = 0;

	if (object == NULL)
		return -ENOMEM;
	if (json_dumpf(object, file, JSON_INDENT(1) | JSON_REAL_PRECISION(PRECISION)) < 0 ||
	    fputc('\n', file) == EOF)
		r = -EIO;
	json_decref(object);
	return r;
}

const char *bench_json_get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

double bench_json_get_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}
