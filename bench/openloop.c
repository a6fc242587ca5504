/* SPDX-License-Identifier: MIT */

/*
 * The open-loop measurements: knee, latency, overload. Datagrams are due at fixed times whatever
 * the server does, and latency counts from when one was due, so a server that stalls cannot hide
 * it by slowing its clients down. The knee is found by bisection on the rate, from what the
 * server answers when saturated; latency is then asked for at fractions of each subject's own
 * knee, overload at multiples of it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "trial.h"

#define MAX_LOSS 0.001

/* The rate is known to 1/2^7 of the starting bracket after so many halvings, finer than noise. */
#define N_STEPS 7

/* The generator is late for all of us at times; late by this much it is its own subject. */
#define MIN_SLIP_NS 50000

struct openloop {
	const struct bench_options *options;
	struct bench_subjects subjects;
	struct bench_load load;
	double seconds;
	const char *why;
};

static int run_at(struct openloop *o, const struct bench_subject *subject, double rate,
		  double seconds, struct bench_trial *ret_trial)
{
	struct bench_trial_config config = { .options = o->options,
					     .subject = subject,
					     .load = o->load,
					     .warmup_s = o->options->smoke ? 0.01 : 0.1,
					     .seconds = seconds };

	bench_options_progress(o->options, "%s at %.0f datagrams/s", subject->name, rate);
	config.load.rate = rate;
	config.load.n_window = rate > 0 ? 0 : 256;
	return bench_trial_run(&config, ret_trial, &o->why);
}

static double get_loss(const struct bench_trial *trial)
{
	return trial->sent > 0 ? trial->lost / trial->sent : 1;
}

/* Did it answer what was asked, and was it asked? */
static bool keeps_up(const struct bench_trial *trial, double rate)
{
	return get_loss(trial) <= MAX_LOSS && trial->rate >= 0.98 * rate;
}

/* 0 or -errno. *ret_limited: the generator could not send more. */
static int find_knee(struct openloop *o, const struct bench_subject *subject, double *ret_rate)
{
	struct bench_trial trial;
	double seconds = o->options->smoke ? 0.03 : 0.25;
	double low = 0, high;
	int n_steps = o->options->smoke ? 2 : N_STEPS;
	int r = run_at(o, subject, 0, seconds, &trial);

	if (r < 0)
		return r;
	high = 1.25 * trial.rate;
	for (int i = 0; i < n_steps && r >= 0; i++) {
		double middle = low > 0 ? (low + high) / 2 : 0.8 * high;

		r = run_at(o, subject, middle, seconds, &trial);
		if (r >= 0 && !keeps_up(&trial, middle)) /* once more: it may have been disturbed */
			r = run_at(o, subject, middle, seconds, &trial);
		if (r < 0)
			break;
		if (keeps_up(&trial, middle))
			low = middle;
		else if (low > 0)
			high = middle;
		else
			high = middle * 0.8;
	}
	*ret_rate = low > 0 ? low : 0.5 * high;
	return r;
}

static void put_latency(struct bench_row *row, const struct bench_trial *trial)
{
	bench_row_put(row, "p50 us", trial->p50 / 1e3);
	bench_row_put(row, "p90 us", trial->p90 / 1e3);
	bench_row_put(row, "p99 us", trial->p99 / 1e3);
	bench_row_put(row, "p99.9 us", trial->p999 / 1e3);
	bench_row_put(row, "max us", trial->max / 1e3);
	bench_row_put(row, "slip us", trial->slip_p99 / 1e3);
}

static void put_fraction(struct openloop *o, const struct bench_trial *trial, double rate,
			 struct bench_row *row)
{
	bench_row_put(row, "datagrams/s", trial->rate);
	if (trial->unexplained != 0 || trial->wrong > 0)
		bench_row_void(row, "void: %.0f lost unexplained, %.0f wrong", trial->unexplained,
			       trial->wrong);
	if (!o->options->smoke && trial->slip_p99 > MIN_SLIP_NS &&
	    trial->slip_p99 > 0.1 * trial->p99)
		bench_row_void(row, "void: the generator itself was %.0f us late (p99)",
			       trial->slip_p99 / 1e3);
	if (!o->options->smoke && trial->rate < 0.98 * rate)
		bench_row_void(row, "void: only %.0f of %.0f datagrams/s were answered",
			       trial->rate, rate);
	put_latency(row, trial);
	bench_row_put(row, "loss", get_loss(trial));
}

static void put_multiple(const struct bench_trial *trial, double knee, struct bench_row *row)
{
	if (trial->unexplained != 0 || trial->wrong > 0)
		bench_row_void(row, "void: %.0f lost unexplained, %.0f wrong", trial->unexplained,
			       trial->wrong);
	bench_row_put(row, "sent/s", trial->sent_rate);
	bench_row_put(row, "answered/s", trial->rate);
	bench_row_put(row, "of the knee", trial->rate / knee);
	bench_row_put(row, "ns/datagram", trial->ns_each);
	bench_row_put(row, "loss", get_loss(trial));
	bench_row_put(row, "p50 us", trial->p50 / 1e3);
	bench_row_put(row, "p99 us", trial->p99 / 1e3);
}

/* Runs at multiples of the knee; those of at most 0.9 are about latency. */
static int run_multiples(struct openloop *o, const struct bench_subject *subject, double knee,
			 const double *multiples, struct bench_set *set)
{
	for (size_t i = 0; multiples[i] > 0; i++) {
		struct bench_row *row = bench_set_add(set, subject->name);
		struct bench_trial trial;
		double rate = multiples[i] * knee;
		int r = run_at(o, subject, rate, o->seconds, &trial);

		snprintf(row->variant, sizeof(row->variant), "%.0f %%", multiples[i] * 100);
		row->x = multiples[i] * 100;
		if (r == -EINTR)
			return r;
		if (r < 0)
			bench_row_void(row, "%s", o->why);
		else if (multiples[i] < 1)
			put_fraction(o, &trial, rate, row);
		else
			put_multiple(&trial, knee, row);
	}
	return 0;
}

static int run_subject(struct openloop *o, const struct bench_subject *subject,
		       const double *multiples, struct bench_set *set)
{
	double knee = 0;
	int r = -ENOSYS;

	o->why = subject->absent;
	if (!subject->absent)
		r = bench_trial_check_echo(o->options, subject, &o->why);
	if (r >= 0)
		r = find_knee(o, subject, &knee);
	if (r == -EINTR)
		return r;
	if (r < 0) {
		bench_row_void(bench_set_add(set, subject->name), "%s", o->why);
		return 0;
	}
	if (multiples)
		return run_multiples(o, subject, knee, multiples, set);
	bench_row_put(bench_set_add(set, subject->name), "knee datagrams/s", knee);
	return 0;
}

static int run(const struct bench_options *options, const char *kind, const double *multiples)
{
	struct openloop o = { .options = options,
			      .seconds = options->smoke         ? 0.05
					 : options->seconds > 0 ? options->seconds
								: 0.5 };
	struct bench_set set = { .kind = kind, .baseline = options->baseline };
	char load[120];
	int r = bench_options_get_subjects(options, NULL, &o.subjects);

	if (r < 0)
		return r;
	bench_options_get_load(options, &o.load);
	o.load.n_burst = options->n_burst ? options->n_burst : 1;
	set.x_name = multiples ? "rate, % of the knee" : NULL;
	o.load.n_window = 0;
	bench_load_describe(&o.load, load, sizeof(load));
	snprintf(set.title, sizeof(set.title), "%s, open loop", load);
	for (size_t i = 0; i < o.subjects.n && r >= 0; i++)
		r = run_subject(&o, &o.subjects.all[i], multiples, &set);
	if (r >= 0)
		r = bench_options_deliver(options, &set);
	bench_set_fini(&set);
	return r;
}

int bench_knee(const struct bench_options *options)
{
	return run(options, "knee", NULL);
}

int bench_latency(const struct bench_options *options)
{
	static const double multiples[] = { 0.1, 0.5, 0.7, 0.9, 0 };

	return run(options, "latency", multiples);
}

int bench_overload(const struct bench_options *options)
{
	static const double multiples[] = { 1, 1.5, 2, 4, 0 };

	return run(options, "overload", multiples);
}
