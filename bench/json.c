/* SPDX-License-Identifier: MIT */

/* A small recursive-descent reader. It reads what bench_set_print_json() wrote; of escapes it
 * knows those that occur there, and it refuses what is nested deeper than any of our files. */

#include "json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16

void bench_json_print_string(const char *text, FILE *file)
{
	fputc('"', file);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20)
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}

static void skip_space(const char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static char *parse_string(const char **at)
{
	const char *from = *at + 1;
	size_t n = 0;
	char *text = malloc(strlen(from) + 1);

	for (; text && *from != '\0' && *from != '"'; from++) {
		if (*from == '\\' && from[1] == 'u' && strlen(from) > 6) {
			char hex[5] = { from[2], from[3], from[4], from[5], 0 };

			text[n++] = (char)strtol(hex, NULL, 16);
			from += 5;
			continue;
		}
		if (*from == '\\' && from[1] != '\0')
			from++;
		text[n++] = *from;
	}
	if (!text || *from != '"') {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	*at = from + 1;
	return text;
}

static struct bench_json *parse_value(const char **at, int depth);

static struct bench_json *parse_member(enum bench_json_type type, const char **at, int depth)
{
	struct bench_json *json = NULL;
	char *key = NULL;

	if (type == BENCH_JSON_ARRAY)
		return parse_value(at, depth + 1);
	key = **at == '"' ? parse_string(at) : NULL;
	skip_space(at);
	if (key && **at == ':') {
		++*at;
		json = parse_value(at, depth + 1);
	}
	if (json)
		json->key = key;
	else
		free(key);
	return json;
}

/* Members of an array or an object, up to the closing bracket. 0 or -1. */
static int parse_members(struct bench_json *json, const char **at, int depth)
{
	char close = json->type == BENCH_JSON_ARRAY ? ']' : '}';
	struct bench_json **end = &json->child;

	++*at;
	skip_space(at);
	while (**at != close) {
		*end = parse_member(json->type, at, depth);
		if (!*end)
			return -1;
		end = &(*end)->next;
		skip_space(at);
		if (**at == ',')
			++*at;
		else if (**at != close)
			return -1;
		skip_space(at);
	}
	++*at;
	return 0;
}

static int parse_word(struct bench_json *json, const char **at)
{
	static const struct {
		const char *word;
		enum bench_json_type type;
		double number;
	} words[] = { { "null", BENCH_JSON_NULL, 0 },
		      { "true", BENCH_JSON_NUMBER, 1 },
		      { "false", BENCH_JSON_NUMBER, 0 } };
	char *end;

	for (size_t i = 0; i < 3; i++) {
		if (strncmp(*at, words[i].word, strlen(words[i].word)) != 0)
			continue;
		json->type = words[i].type;
		json->number = words[i].number;
		*at += strlen(words[i].word);
		return 0;
	}
	json->type = BENCH_JSON_NUMBER;
	json->number = strtod(*at, &end);
	if (end == *at)
		return -1;
	*at = end;
	return 0;
}

static struct bench_json *parse_value(const char **at, int depth)
{
	struct bench_json *json = calloc(1, sizeof(*json));
	int r;

	if (!json || depth > MAX_DEPTH) {
		free(json);
		return NULL;
	}
	skip_space(at);
	if (**at == '{' || **at == '[') {
		json->type = **at == '[' ? BENCH_JSON_ARRAY : BENCH_JSON_OBJECT;
		r = parse_members(json, at, depth);
	} else if (**at == '"') {
		json->type = BENCH_JSON_STRING;
		json->string = parse_string(at);
		r = json->string ? 0 : -1;
	} else {
		r = parse_word(json, at);
	}
	if (r < 0) {
		bench_json_free(json);
		return NULL;
	}
	return json;
}

struct bench_json *bench_json_parse(const char *text)
{
	return parse_value(&text, 0);
}

void bench_json_free(struct bench_json *json)
{
	while (json) {
		struct bench_json *next = json->next;

		bench_json_free(json->child);
		free(json->string);
		free(json->key);
		free(json);
		json = next;
	}
}

const struct bench_json *bench_json_get(const struct bench_json *json, const char *key)
{
	if (!json || json->type != BENCH_JSON_OBJECT)
		return NULL;
	for (const struct bench_json *child = json->child; child; child = child->next)
		if (strcmp(child->key, key) == 0)
			return child;
	return NULL;
}

const char *bench_json_get_string(const struct bench_json *json, const char *key)
{
	const struct bench_json *value = bench_json_get(json, key);

	return value && value->type == BENCH_JSON_STRING ? value->string : "";
}

double bench_json_get_number(const struct bench_json *json, const char *key)
{
	const struct bench_json *value = bench_json_get(json, key);

	return value ? value->number : 0;
}
