/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_STATSD_TABLE_H
#define EXAMPLES_STATSD_TABLE_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <sys/tree.h> /* libbsd's */

enum kind { COUNTER, GAUGE, TIMER, SET, N_KINDS };

RB_HEAD(metrics, metric);

struct sample {
	double value;
	int64_t when_ns;
	bool is_change;
};

struct metric {
	RB_ENTRY(metric) entry;
	struct metrics texts; /* of a set: metrics too, that only have a name */
	enum kind kind;
	double sum; /* of a timer how many there were, of a gauge its value at the last flush */
	struct sample *samples; /* of timers, and of gauges since the last flush */
	size_t n_samples, n_room;
	const char *name; /* behind this struct */
};

int metric_compare(const struct metric *a, const struct metric *b);
void metric_free(struct metric *metric);

RB_PROTOTYPE(metrics, metric, entry, metric_compare)

/* The first one, which is not in it any more; NULL: it is empty. */
struct metric *metrics_pop(struct metrics *metrics);

/* What becomes of a line; report.c has their names. */
enum verdict { GOOD, BAD_NAME, BAD_VALUE, BAD_TYPE, BAD_RATE, TOO_LONG, NO_ROOM, N_VERDICTS };

/* What one thread has taken since the last flush; all zero: nothing. */
struct table {
	alignas(64) struct metrics metrics;
	uint64_t n_lines[N_VERDICTS];
	uint32_t n_used;   /* names, texts and samples */
	uint32_t n_gauges; /* of a sum, which keeps them */
};

/* Take the lines of a datagram. */
void table_take(struct table *table, const char *data, size_t len, int64_t when_ns);

/* Move all that is in `from` to `total`, and begin anew there. */
void table_move(struct table *total, struct table *from);

/* Print what it comes to, and begin anew, but for the gauges, which stay where they are. */
void table_flush(struct table *table, FILE *file);

#endif
