/* SPDX-License-Identifier: MIT */

/*
 * A table of metrics: a tree of libbsd's, by kind and name. Timers and gauges keep their samples,
 * so percentiles are exact, and gauges of several tables follow the order in which the kernel took
 * the lines. The room is bounded, since anybody can send names; what does not fit is counted.
 */

#include "table.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * N_ROOM: new names, texts and samples of a worker between two flushes; a sample has 24 bytes. Up
 * to 2^53 every whole number is a double.
 */
enum { N_ROOM = 1 << 20, LINE_BYTES = 512 };
#define MAX_VALUE 0x1p53
#define MIN_RATE  1e-9

static const char *const type_texts[] = { "c", "g", "ms", "s" };

/* Tables --------------------------------------------------------------------------------------- */

int metric_compare(const struct metric *a, const struct metric *b)
{
	return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : strcmp(a->name, b->name);
}

RB_GENERATE(metrics, metric, entry, metric_compare)

struct metric *metrics_pop(struct metrics *metrics)
{
	struct metric *metric = RB_MIN(metrics, metrics);

	return metric == NULL ? NULL : RB_REMOVE(metrics, metrics, metric);
}

void metric_free(struct metric *metric)
{
	free(metric->samples);
	free(metric);
}

static struct metric *add_metric(struct table *table, struct metrics *metrics, enum kind kind,
				 const char *name)
{
	struct metric key = { .kind = kind, .name = name };
	struct metric *metric = RB_FIND(metrics, metrics, &key);
	size_t n_bytes = strlen(name) + 1;

	if (metric != NULL || table->n_used == N_ROOM)
		return metric;
	metric = malloc(sizeof *metric + n_bytes);
	if (metric == NULL)
		return NULL;
	key.name = memcpy(metric + 1, name, n_bytes);
	*metric = key;
	RB_INSERT(metrics, metrics, metric);
	table->n_used++;
	return metric;
}

static bool grow_samples(struct metric *metric, size_t n_more)
{
	size_t n = metric->n_samples + n_more;
	struct sample *samples = metric->samples;

	if (n > metric->n_room) {
		n = n > 2 * metric->n_room ? n : 2 * metric->n_room;
		samples = reallocarray(samples, n, sizeof *samples);
		if (samples == NULL)
			return false;
		metric->samples = samples;
		metric->n_room = n;
	}
	return true;
}

/* Lines that were good do not fit all the same. */
static void drop_samples(struct table *total, struct metric *metric)
{
	total->n_lines[GOOD] -= metric->n_samples;
	total->n_lines[NO_ROOM] += metric->n_samples;
	metric->n_samples = 0;
}

static void append_samples(struct metric *metric, const struct metric *from)
{
	if (from->n_samples > 0)
		memcpy(metric->samples + metric->n_samples, from->samples,
		       from->n_samples * sizeof *from->samples);
	metric->n_samples += from->n_samples;
}

static void merge(struct table *total, struct metrics *to, struct metrics *from)
{
	struct metric *metric;

	while ((metric = metrics_pop(from)) != NULL) {
		bool is_full = metric->kind == GAUGE && total->n_gauges == N_ROOM;
		struct metric *known = is_full ? RB_FIND(metrics, to, metric)
					       : RB_INSERT(metrics, to, metric);

		if (known == NULL && !is_full) {
			total->n_gauges += metric->kind == GAUGE;
			continue; /* it was not there, and is now */
		}
		if (known == NULL || !grow_samples(known, metric->n_samples))
			drop_samples(total, metric);
		if (known != NULL) {
			known->sum += metric->sum;
			append_samples(known, metric);
			merge(total, &known->texts, &metric->texts);
		}
		metric_free(metric);
	}
}

void table_move(struct table *total, struct table *from)
{
	for (int i = 0; i < N_VERDICTS; i++)
		total->n_lines[i] += from->n_lines[i];
	merge(total, &total->metrics, &from->metrics);
	memset(from, 0, sizeof *from);
}

/* Lines ---------------------------------------------------------------------------------------- */

/* It stands in lines of ours, between blanks. */
static bool is_name(const char *name)
{
	size_t len = 0;

	while (isgraph((unsigned char)name[len]))
		len++;
	return len > 0 && name[len] == '\0';
}

static bool is_number(const char *text, double min, double max, double *ret_number)
{
	size_t len = strspn(text, "+-.0123456789eE");
	char *end;

	*ret_number = strtod(text, &end);
	return len > 0 && end == text + len && *end == '\0' && *ret_number >= min &&
	       *ret_number <= max;
}

static bool add_sample(struct table *table, struct metric *metric, const struct sample *sample)
{
	if (metric->kind == GAUGE && !sample->is_change) {
		table->n_used -= (uint32_t)metric->n_samples; /* they do not matter any more */
		metric->n_samples = 0;
	}
	if (table->n_used == N_ROOM || !grow_samples(metric, 1))
		return false;
	metric->samples[metric->n_samples++] = *sample;
	table->n_used++;
	return true;
}

static enum verdict take_line(struct table *table, char *line, int64_t when_ns)
{
	char *rest = *line == '<' && strchr(line, ' ') != NULL ? strrchr(line, ' ') + 1 : line;
	const char *name = strsep(&rest, ":"), *value = strsep(&rest, "|");
	const char *type = strsep(&rest, "|");
	struct sample sample = { .when_ns = when_ns };
	struct metric *metric;
	double rate = 1;
	unsigned int kind = 0;

	if (!is_name(name))
		return BAD_NAME;
	if (value == NULL || *value == '\0')
		return BAD_VALUE;
	while (kind < N_KINDS && (type == NULL || strcmp(type, type_texts[kind]) != 0))
		kind++;
	if (kind == N_KINDS)
		return BAD_TYPE;
	if (kind != SET && !is_number(value, -MAX_VALUE, MAX_VALUE, &sample.value))
		return BAD_VALUE;
	if (rest != NULL && (kind == GAUGE || kind == SET || *rest != '@' ||
			     !is_number(rest + 1, MIN_RATE, 1, &rate)))
		return BAD_RATE;
	metric = add_metric(table, &table->metrics, kind, name);
	if (metric == NULL)
		return NO_ROOM;
	sample.is_change = *value == '+' || *value == '-';
	if (kind == SET ? add_metric(table, &metric->texts, SET, value) == NULL
			: kind != COUNTER && !add_sample(table, metric, &sample))
		return NO_ROOM;
	metric->sum += kind == COUNTER ? sample.value / rate : kind == TIMER ? 1 / rate : 0;
	return GOOD;
}

void table_take(struct table *table, const char *data, size_t len, int64_t when_ns)
{
	char line[LINE_BYTES];

	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *end = memchr(data + at, '\n', len - at);
		enum verdict verdict = TOO_LONG;

		n = (end != NULL ? (size_t)(end - data) : len) - at;
		if (n == 0)
			continue;
		if (n < sizeof line) {
			memcpy(line, data + at, n);
			line[n] = '\0';
			/* No name has a NUL in it, and no text. */
			verdict = strlen(line) < n ? BAD_NAME : take_line(table, line, when_ns);
		}
		table->n_lines[verdict]++;
	}
}
