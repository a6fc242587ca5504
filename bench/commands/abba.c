/* SPDX-License-Identifier: MIT */

/*
 * preload: each subject against the baseline in preloaded runs, in the order A B B A, so that a
 * machine that drifts, drifts for both. One round is one ratio, (B + B) / (A + A); reported is the
 * median of the rounds with its 95 % bootstrap interval. The baseline also runs against a second
 * instance of itself: what that row differs from 1 is the method's own error.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/interrupt.h"
#include "figures/preload.h"
#include "figures/trial.h"
#include "output.h"

struct abba {
	const struct bench_options *options;
	struct bench_load load;
	uint32_t n_rounds;
	uint32_t n_preload;
	double *ratios;
	double *costs; /* ns per datagram, two runs per round */
};

static const char *explain(int r)
{
	switch (r) {
	case -ENOBUFS:
		return "void: the socket does not hold that many datagrams; lower --preload";
	case -EBADMSG:
		return "void: not every datagram was replied to";
	case -ETIMEDOUT:
		return "void: the server did not handle what was queued";
	default:
		return strerror(-r);
	}
}

/* One round. The first instance of each is A's, the baseline's. */
static int run_round(struct abba *t, struct bench_preload *a, struct bench_preload *b,
		     uint32_t round)
{
	uint64_t a1, b1, b2, a2;
	int r = bench_preload_run(a, t->n_preload, &a1);

	if (r >= 0)
		r = bench_preload_run(b, t->n_preload, &b1);
	if (r >= 0)
		r = bench_preload_run(b, t->n_preload, &b2);
	if (r >= 0)
		r = bench_preload_run(a, t->n_preload, &a2);
	if (r < 0)
		return r;
	t->ratios[round] = (double)(b1 + b2) / (double)(a1 + a2);
	t->costs[2 * (size_t)round] = (double)b1 / t->n_preload;
	t->costs[2 * (size_t)round + 1] = (double)b2 / t->n_preload;
	return 0;
}

static int compare(struct abba *t, const struct bench_subject *base,
		   const struct bench_subject *subject, struct bench_row *row)
{
	struct bench_preload a, b;
	int r = bench_preload_open(base, t->options->setting.n_batch, &t->load, &a);

	if (r < 0)
		return r;
	r = bench_preload_open(subject, t->options->setting.n_batch, &t->load, &b);
	if (r < 0) {
		bench_row_void(row, "%s", explain(r));
		bench_preload_close(&a);
		return 0;
	}
	/* One round that does not count: first touches of memory. */
	r = run_round(t, &a, &b, 0);
	for (uint32_t i = 0; i < t->n_rounds && r >= 0; i++)
		r = bench_interrupt_is_pending() ? -EINTR : run_round(t, &a, &b, i);
	bench_preload_close(&a);
	bench_preload_close(&b);
	if (r == -EINTR)
		return r;
	if (r < 0) {
		bench_row_void(row, "%s", explain(r));
		return 0;
	}
	bench_row_put_figure(row, "ns/datagram",
			     bench_statistics_bootstrap(t->costs, 2 * (size_t)t->n_rounds, 1));
	bench_row_put_figure(row, "ratio", bench_statistics_bootstrap(t->ratios, t->n_rounds, 1));
	return 0;
}

static int run_subjects(struct abba *t, const struct bench_subjects *subjects,
			struct bench_set *set)
{
	struct bench_subjects all;
	const struct bench_subject *base;
	int r = 0;

	bench_subjects_get(t->options->program, &all);
	base = bench_subjects_find(&all, t->options->baseline);
	if (base == NULL || bench_subject_why_not_preloaded(base) != NULL) {
		fprintf(stderr, "volley-bench: '%s' cannot be a baseline here\n",
			t->options->baseline);
		return -EINVAL;
	}
	for (size_t i = 0; i < subjects->n && r >= 0; i++) {
		const struct bench_subject *subject = &subjects->all[i];
		struct bench_row *row = bench_set_add(set, subject->name);
		const char *why = bench_subject_why_not_preloaded(subject);

		bench_output_progress(t->options, "%u rounds of %s", t->n_rounds, subject->name);
		if (why != NULL)
			bench_row_void(row, "%s", why);
		else if (bench_trial_check_echo(&t->options->setting, subject, &why) < 0)
			bench_row_void(row, "%s", why);
		else
			r = compare(t, base, subject, row);
	}
	return r;
}

int bench_abba(const struct bench_options *options)
{
	struct abba t = { .options = options,
			  .n_rounds = options->n_rounds ? options->n_rounds : 200,
			  .n_preload = options->n_preload ? options->n_preload : 2048 };
	struct bench_set set = { .kind = "preload", .baseline = options->baseline };
	struct bench_subjects subjects;
	char load[120];
	int r;

	if (options->is_smoke) {
		t.n_rounds = 2;
		t.n_preload = 100;
	}
	bench_options_get_load(options, &t.load);
	t.load.n_burst = options->n_burst ? options->n_burst : 1;
	r = bench_options_get_subjects(options, NULL, &subjects);
	if (r < 0)
		return r;
	bench_cpus_set_one(options->setting.server_cpus.cpu[0]);
	t.ratios = calloc(t.n_rounds, sizeof *t.ratios);
	t.costs = calloc(t.n_rounds, 2 * sizeof *t.costs);
	if (t.ratios == NULL || t.costs == NULL)
		r = -ENOMEM;
	if (r >= 0)
		r = run_subjects(&t, &subjects, &set);
	t.load.n_window = 0;
	bench_load_describe(&t.load, load, sizeof load);
	snprintf(set.title, sizeof set.title, "%s, %u queued, %u rounds of ABBA", load, t.n_preload,
		 t.n_rounds);
	if (r >= 0)
		r = bench_output_finish(options, &subjects, &set, true);
	bench_set_fini(&set);
	free(t.ratios);
	free(t.costs);
	return r;
}
