/* SPDX-License-Identifier: MIT */

/* What a table comes to, in lines for graphite: NAME VALUE TIME. */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "table.h"

static const char *const kind_names[] = { "counters", "gauges", "timers", "sets" };
static const char *const verdict_names[] = { "good",     "bad_name", "bad_value", "bad_type",
					     "bad_rate", "too_long", "no_room" };

static int compare_values(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

static int compare_times(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->when_ns > y->when_ns) - (x->when_ns < y->when_ns);
}

static void put(FILE *file, const struct metric *metric, const char *what, double value)
{
	fprintf(file, "stats.%s.%s%s %.16g %lld\n", kind_names[metric->kind], metric->name, what,
		value, (long long)time(NULL));
}

static void put_timer(FILE *file, const struct metric *metric)
{
	const struct sample *samples = metric->samples;
	size_t n = metric->n_samples;
	double sum = 0;

	if (n == 0)
		return; /* there was no room */
	qsort(metric->samples, n, sizeof *samples, compare_values);
	for (size_t i = 0; i < n; i++)
		sum += samples[i].value;
	put(file, metric, ".count", metric->sum);
	put(file, metric, ".min", samples[0].value);
	put(file, metric, ".max", samples[n - 1].value);
	put(file, metric, ".mean", sum / (double)n);
	put(file, metric, ".p50", samples[(n * 50 + 99) / 100 - 1].value);
	put(file, metric, ".p99", samples[(n * 99 + 99) / 100 - 1].value);
}

/* In the order of the lines, which are of several tables: this sort keeps that of equals. */
static void update_gauge(struct metric *metric)
{
	if (metric->n_samples > 0)
		mergesort(metric->samples, metric->n_samples, sizeof *metric->samples,
			  compare_times);
	for (size_t i = 0; i < metric->n_samples; i++) {
		const struct sample *sample = &metric->samples[i];

		metric->sum = sample->value + (sample->is_change ? metric->sum : 0);
	}
	metric->n_samples = 0;
}

/* And gives them up. */
static double count_texts(struct metric *metric)
{
	struct metric *text;
	double n = 0;

	while ((text = metrics_pop(&metric->texts)) != NULL) {
		metric_free(text);
		n++;
	}
	return n;
}

static void put_metric(FILE *file, struct metric *metric)
{
	switch (metric->kind) {
	case GAUGE:
		update_gauge(metric);
		/* fall through */
	case COUNTER:
		put(file, metric, "", metric->sum);
		break;
	case TIMER:
		put_timer(file, metric);
		break;
	default:
		put(file, metric, ".count", count_texts(metric));
	}
}

void table_flush(struct table *table, FILE *file)
{
	struct metrics gauges = RB_INITIALIZER(&gauges);
	struct metric *metric;

	for (int i = 0; i < N_VERDICTS; i++)
		if (i == GOOD || table->n_lines[i] > 0)
			fprintf(file, "stats.statsd.lines.%s %llu %lld\n", verdict_names[i],
				(unsigned long long)table->n_lines[i], (long long)time(NULL));
	while ((metric = metrics_pop(&table->metrics)) != NULL) {
		put_metric(file, metric);
		if (metric->kind == GAUGE)
			RB_INSERT(metrics, &gauges, metric);
		else
			metric_free(metric);
	}
	memset(table->n_lines, 0, sizeof table->n_lines);
	table->metrics = gauges;
}
