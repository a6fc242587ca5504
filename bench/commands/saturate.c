/* SPDX-License-Identifier: MIT */

/*
 * saturate and demo: what a server replies per second of its own CPU time, when it is never idle.
 * The subjects alternate, A B C A B C, so that what disturbs the machine for a while disturbs all;
 * a round's ratio is of that round's own baseline. A run that breaks a rule is void: it is not in
 * the median, and a subject without three good runs (or all of fewer) gets no figure but the
 * reason. demo, which is to be looked at, shows the figures of void runs beside the reason, but
 * makes no ratio of them.
 */

#include "saturate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/interrupt.h"
#include "figures/trial.h"
#include "figures/validity.h"
#include "output.h"

/*
 * A void run is tried again, so often in all: on a shared machine most are void because somebody
 * took the generator's core for a moment.
 */
#define N_TRIES 4

/* One subject's runs. */
struct runs {
	const char *reason; /* why it has none at all */
	char last_void[160];
	struct bench_trial *trials;
	bool *is_good;
	double *ratios;
	size_t n_good;
	size_t n_ratios;
};

struct saturate {
	const struct bench_options *options;
	struct bench_subjects subjects;
	struct bench_load load;
	double sink_rate;
	double seconds;
	double warmup_s;
	uint32_t n_rounds;
	size_t baseline; /* index, or subjects.n */
	bool shows_void;
	struct runs runs[BENCH_SUBJECT_MAX];
};

static int run_one(struct saturate *s, size_t i, uint32_t round)
{
	struct runs *runs = &s->runs[i];
	struct bench_trial_config config = { .setting = &s->options->setting,
					     .subject = &s->subjects.all[i],
					     .load = s->load,
					     .warmup_s = s->warmup_s,
					     .seconds = s->seconds };
	const char *why;

	if (runs->reason != NULL)
		return 0;
	bench_output_progress(s->options, "round %u of %u: %s", round + 1, s->n_rounds,
			      s->subjects.all[i].name);
	for (int n = 0; n < N_TRIES && !runs->is_good[round]; n++) {
		int r = bench_trial_run(&config, &runs->trials[round], &why);

		if (r < 0)
			runs->reason = why;
		if (r < 0)
			return r == -EINTR ? r : 0;
		runs->is_good[round] = !bench_validity_is_void(
			&runs->trials[round], s->options->is_smoke, runs->last_void,
			sizeof runs->last_void);
	}
	runs->n_good += runs->is_good[round];
	return 0;
}

/* A subject with fewer good runs has no figure. */
static uint32_t get_n_need(const struct saturate *s)
{
	return s->n_rounds < 3 ? s->n_rounds : 3;
}

static void put_ratios(struct saturate *s)
{
	const struct runs *base = &s->runs[s->baseline];

	if (s->baseline == s->subjects.n || base->reason != NULL || base->n_good < get_n_need(s))
		return;
	for (size_t i = 0; i < s->subjects.n; i++) {
		struct runs *runs = &s->runs[i];

		if (runs->reason == NULL)
			runs->n_ratios = bench_validity_get_ratios(runs->trials, runs->is_good,
								   base->trials, base->is_good,
								   s->n_rounds, runs->ratios);
	}
}

static struct bench_figure get_figure(const struct saturate *s, const struct runs *runs,
				      size_t offset)
{
	double values[256];
	size_t n = 0;

	for (uint32_t i = 0; i < s->n_rounds && n < 256; i++)
		if (runs->is_good[i])
			values[n++] = *(
				const double *)(const void *)((const char *)&runs->trials[i] +
							      offset);
	return bench_statistics_range(values, n);
}

#define FIGURE(s, runs, field) get_figure(s, runs, offsetof(struct bench_trial, field))

/* The books, and how full the volleys were. */
static void put_details(struct saturate *s, struct runs *runs, struct bench_row *row)
{
	static const char *const names[BENCH_PEER_N_SIZES] = { "n=1",    "n=2-3",   "n=4-7",
							       "n=8-15", "n=16-31", "n=32-63",
							       "n=64+" };
	bool is_known = false;

	bench_row_put_detail(row, "sent", FIGURE(s, runs, sent).median);
	bench_row_put_detail(row, "lost at socket", FIGURE(s, runs, lost_server).median);
	bench_row_put_detail(row, "in backlog", FIGURE(s, runs, lost_backlog).median);
	bench_row_put_detail(row, "at send", FIGURE(s, runs, lost_sends).median);
	for (size_t i = 0; i < BENCH_PEER_N_SIZES; i++)
		is_known = is_known || FIGURE(s, runs, sizes[i]).high > 0;
	for (size_t i = 0; i < BENCH_PEER_N_SIZES && is_known; i++)
		bench_row_put_detail(row, names[i], FIGURE(s, runs, sizes[i]).median);
}

/*
 * On a busy machine no run may be fit for a ratio. What was replied to, and at what cost, is true
 * all the same.
 */
static void admit_void(struct saturate *s, struct runs *runs, struct bench_row *row)
{
	char why[sizeof runs->last_void];

	for (uint32_t i = 0; i < s->n_rounds; i++) {
		const struct bench_trial *trial = &runs->trials[i];

		if (runs->is_good[i] || bench_validity_is_wrong(trial, why, sizeof why))
			continue;
		runs->is_good[i] = true;
		runs->n_good++;
	}
	row->shows_void = runs->n_good > 0;
}

static void put_row(struct saturate *s, size_t i, struct bench_row *row)
{
	struct runs *runs = &s->runs[i];
	struct bench_figure ns, lost, sent;

	if (runs->reason != NULL) {
		bench_row_void(row, "%s", runs->reason);
		return;
	}
	if (runs->n_good < get_n_need(s))
		bench_row_void(row, "%s (%zu of %u runs good)", runs->last_void, runs->n_good,
			       s->n_rounds);
	if (runs->n_good < get_n_need(s) && s->shows_void)
		admit_void(s, runs, row);
	if (runs->n_good == 0)
		return;
	ns = FIGURE(s, runs, ns_each);
	bench_row_put(row, "datagrams/s", FIGURE(s, runs, rate).median);
	bench_row_put_figure(row, "ns/datagram", ns);
	if (runs->n_ratios > 0 && row->void_reason[0] == '\0')
		bench_row_put_figure(row, "ratio",
				     bench_statistics_range(runs->ratios, runs->n_ratios));
	if (ns.low > 0)
		bench_row_put_figure(row, "replies/cpu-s",
				     (struct bench_figure){ 1e9 / ns.median, 1e9 / ns.high,
							    1e9 / ns.low, ns.n });
	bench_row_put(row, "busy", FIGURE(s, runs, busy).median);
	bench_row_put(row, "headroom", s->sink_rate / FIGURE(s, runs, rate).median);
	bench_row_put(row, "disturbed", FIGURE(s, runs, disturbed).median);
	if (FIGURE(s, runs, batch).median > 0) {
		bench_row_put(row, "batch", FIGURE(s, runs, batch).median);
		bench_row_put(row, "calls/datagram", FIGURE(s, runs, calls).median);
	}
	put_details(s, runs, row);
	lost = FIGURE(s, runs, lost);
	sent = FIGURE(s, runs, sent);
	bench_row_put(row, "loss", sent.median > 0 ? lost.median / sent.median : 0);
	bench_row_put(row, "reordered", FIGURE(s, runs, reordered).median);
}

/* Every subject must echo correctly before it is timed. */
static int check_all(struct saturate *s)
{
	for (size_t i = 0; i < s->subjects.n; i++) {
		struct runs *runs = &s->runs[i];
		const char *why;

		if (bench_interrupt_is_pending())
			return -EINTR;
		runs->reason = s->subjects.all[i].absent;
		if (runs->reason != NULL)
			continue;
		bench_output_progress(s->options, "checking the echo of %s",
				      s->subjects.all[i].name);
		if (bench_trial_check_echo(&s->options->setting, &s->subjects.all[i], &why) < 0)
			runs->reason = why;
		runs->trials = calloc(s->n_rounds, sizeof *runs->trials);
		runs->is_good = calloc(s->n_rounds, sizeof *runs->is_good);
		runs->ratios = calloc(s->n_rounds, sizeof *runs->ratios);
		if (runs->trials == NULL || runs->is_good == NULL || runs->ratios == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int run_rounds(struct saturate *s)
{
	int r = check_all(s);

	for (uint32_t round = 0; round < s->n_rounds && r >= 0; round++)
		for (size_t i = 0; i < s->subjects.n && r >= 0; i++)
			r = run_one(s, i, round);
	if (r >= 0)
		put_ratios(s);
	return r;
}

int bench_saturate_measure(const struct bench_saturate_config *config, struct bench_set *set)
{
	const char *baseline = config->options->baseline;
	const struct bench_subject *base;
	struct saturate *s = calloc(1, sizeof *s);
	int r;

	if (s == NULL)
		return -ENOMEM;
	*s = (struct saturate){ .options = config->options,
				.subjects = *config->subjects,
				.load = config->load,
				.seconds = config->seconds,
				.warmup_s = 0.1,
				.shows_void = config->shows_void,
				.n_rounds = config->n_rounds };
	if (s->options->is_smoke) {
		s->n_rounds = 1;
		s->seconds = 0.05;
		s->warmup_s = 0.01;
	}
	base = bench_subjects_find(&s->subjects, baseline);
	s->baseline = base != NULL ? (size_t)(base - s->subjects.all) : s->subjects.n;
	r = bench_trial_get_sink_rate(&s->options->setting, &s->load,
				      s->options->is_smoke ? 0.01 : 0.1, &s->sink_rate);
	if (r >= 0)
		r = run_rounds(s);
	/* Before void runs are let in to be looked at. */
	if (r >= 0 && s->baseline < s->subjects.n && s->runs[s->baseline].n_good < get_n_need(s))
		bench_set_note(set, "No ratios%s%s: the baseline, %s, is void.",
			       config->variant[0] != '\0' ? " for " : "", config->variant,
			       config->options->baseline);
	for (size_t i = 0; i < s->subjects.n && r >= 0; i++) {
		struct bench_row *row = bench_set_add(set, s->subjects.all[i].name);

		snprintf(row->variant, sizeof row->variant, "%s", config->variant);
		row->x = config->x;
		put_row(s, i, row);
	}
	for (size_t i = 0; i < s->subjects.n; i++) {
		free(s->runs[i].trials);
		free(s->runs[i].is_good);
		free(s->runs[i].ratios);
	}
	free(s);
	return r;
}

static int run(const struct bench_options *options, const char *kind, const char *list,
	       double seconds, uint32_t n_rounds)
{
	struct bench_subjects subjects;
	struct bench_saturate_config config = {
		.options = options,
		.subjects = &subjects,
		.seconds = options->seconds > 0 ? options->seconds : seconds,
		.n_rounds = options->n_rounds ? options->n_rounds : n_rounds,
		.variant = "",
		.shows_void = strcmp(kind, "demo") == 0,
	};
	struct bench_set set = { .kind = kind, .baseline = options->baseline };
	char load[120];
	int r;

	bench_options_get_load(options, &config.load);
	r = bench_options_get_subjects(options, list, &subjects);
	if (r < 0)
		return r;
	bench_load_describe(&config.load, load, sizeof load);
	snprintf(set.title, sizeof set.title, "%s, %u worker%s, %u rounds of %.2g s", load,
		 options->setting.n_workers, options->setting.n_workers > 1 ? "s" : "",
		 config.n_rounds, config.seconds);
	r = bench_saturate_measure(&config, &set);
	if (options->is_smoke)
		bench_set_note(&set, "A smoke run: no figure of it means anything.");
	if (r >= 0)
		r = bench_output_finish(options, &subjects, &set, false);
	bench_set_fini(&set);
	return r;
}

int bench_saturate(const struct bench_options *options)
{
	return run(options, "saturate", NULL, 0.5, 5);
}

int bench_demo(const struct bench_options *options)
{
	const char *list = options->program != NULL ? "volley-echo,recvfrom,recvmmsg"
						    : "recvfrom,recvmmsg";

	return run(options, "demo", list, 0.8, 5);
}
