/* SPDX-License-Identifier: MIT */

/*
 * The open-loop measurements: knee, latency, overload. Datagrams are due at fixed times whatever
 * the server does, and latency counts from when one was due, so a server that stalls cannot hide it
 * by slowing its clients down. The knee is found by bisection on the rate, from what the server
 * replies when saturated; latency is then asked for at fractions of each subject's own knee,
 * overload at multiples of it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "figures/trial.h"
#include "figures/validity.h"
#include "output.h"

#define MAX_LOSS 0.001

/* The rate is known to 1/2^7 of the starting bracket after so many halvings, finer than noise. */
#define N_STEPS 7

/* A run that fails or is void is tried so often in all: it may have been disturbed. */
#define N_TRIES 3

#define N_QUESTIONS 3
#define N_WHY       160

struct openloop;

/* What is asked at multiples of a knee. */
struct question {
	const char *kind;
	double multiples[8]; /* up to a 0 */
	bool (*is_void)(const struct openloop *o, const struct bench_trial *trial, double rate,
			char why[N_WHY]);
	void (*put)(const struct bench_trial *trial, double knee, struct bench_row *row);
};

struct openloop {
	const struct bench_options *options;
	struct bench_subjects subjects;
	struct bench_load load;
	double seconds;
	const char *why;
	const struct question *questions[N_QUESTIONS]; /* up to a NULL */
	struct bench_set sets[N_QUESTIONS];
};

static int run_at(struct openloop *o, const struct bench_subject *subject, double rate,
		  double seconds, struct bench_trial *ret_trial)
{
	struct bench_trial_config config = { .setting = &o->options->setting,
					     .subject = subject,
					     .load = o->load,
					     .warmup_s = o->options->is_smoke ? 0.01 : 0.1,
					     .seconds = seconds };

	bench_output_progress(o->options, "%s at %.0f datagrams/s", subject->name, rate);
	config.load.rate = rate;
	config.load.n_window = rate > 0 ? 0 : 256;
	return bench_trial_run(&config, ret_trial, &o->why);
}

static double get_loss(const struct bench_trial *trial)
{
	return trial->sent > 0 ? trial->lost / trial->sent : 1;
}

/* Did it reply to what was sent, at the rate that was asked for? */
static bool is_keeping_up(const struct bench_trial *trial, double rate)
{
	return get_loss(trial) <= MAX_LOSS && trial->rate >= 0.98 * rate;
}

/* 0 or -errno. *ret_is_limited: it was the generator that could not send more. */
static int find_knee(struct openloop *o, const struct bench_subject *subject, double *ret_rate,
		     bool *ret_is_limited)
{
	struct bench_trial trial;
	double seconds = o->options->is_smoke ? 0.03 : 0.25;
	double low = 0, high;
	int n_steps = o->options->is_smoke ? 2 : N_STEPS;
	bool is_limited = false;
	int r = run_at(o, subject, 0, seconds, &trial);

	if (r < 0)
		return r;
	high = 1.25 * trial.rate;
	for (int i = 0; i < n_steps && r >= 0; i++) {
		double middle = low > 0 ? (low + high) / 2 : 0.8 * high;

		r = run_at(o, subject, middle, seconds, &trial);
		for (int n = 1; n < N_TRIES && r >= 0 && !is_keeping_up(&trial, middle); n++)
			r = run_at(o, subject, middle, seconds, &trial);
		if (r < 0)
			break;
		if (is_keeping_up(&trial, middle)) {
			low = middle;
			continue;
		}
		high = low > 0 ? middle : middle * 0.8;
		is_limited = get_loss(&trial) <= MAX_LOSS;
	}
	*ret_rate = low > 0 ? low : 0.5 * high;
	*ret_is_limited = is_limited;
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

static bool is_void_fraction(const struct openloop *o, const struct bench_trial *trial, double rate,
			     char why[N_WHY])
{
	return bench_validity_is_void_at(trial, rate, o->options->is_smoke, why, N_WHY);
}

static bool is_void_multiple(const struct openloop *o, const struct bench_trial *trial, double rate,
			     char why[N_WHY])
{
	(void)o;
	(void)rate;
	return bench_validity_is_wrong(trial, why, N_WHY);
}

static void put_fraction(const struct bench_trial *trial, double knee, struct bench_row *row)
{
	(void)knee;
	bench_row_put(row, "datagrams/s", trial->rate);
	put_latency(row, trial);
	bench_row_put(row, "loss", get_loss(trial));
}

static void put_multiple(const struct bench_trial *trial, double knee, struct bench_row *row)
{
	bench_row_put(row, "sent/s", trial->sent_rate);
	bench_row_put(row, "replies/s", trial->rate);
	bench_row_put(row, "of the knee", trial->rate / knee);
	bench_row_put(row, "ns/datagram", trial->ns_each);
	bench_row_put(row, "loss", get_loss(trial));
	bench_row_put(row, "p50 us", trial->p50 / 1e3);
	bench_row_put(row, "p99 us", trial->p99 / 1e3);
	bench_row_put_detail(row, "sent", trial->sent);
	bench_row_put_detail(row, "lost at socket", trial->lost_server);
	bench_row_put_detail(row, "in backlog", trial->lost_backlog);
	bench_row_put_detail(row, "at send", trial->lost_sends);
}

static void put_knee(const struct openloop *o, double knee, bool is_limited, struct bench_row *row)
{
	if (is_limited && !o->options->is_smoke)
		bench_row_void(row, "void: the generator cannot send more than %.0f datagrams/s",
			       knee);
	bench_row_put(row, "knee datagrams/s", knee);
}

static const struct question knee_question = { .kind = "knee" };
static const struct question latency_question = {
	"latency", { 0.1, 0.5, 0.7, 0.9 }, is_void_fraction, put_fraction
};
static const struct question overload_question = {
	"overload", { 1, 1.5, 2, 4 }, is_void_multiple, put_multiple
};

static int ask(struct openloop *o, const struct bench_subject *subject, double knee,
	       const struct question *question, struct bench_set *set)
{
	for (size_t i = 0; question->multiples[i] > 0; i++) {
		struct bench_row *row = bench_set_add(set, subject->name);
		struct bench_trial trial;
		double rate = question->multiples[i] * knee;
		char why[N_WHY];
		int r = run_at(o, subject, rate, o->seconds, &trial);

		for (int n = 1; n < N_TRIES && r >= 0 && question->is_void(o, &trial, rate, why);
		     n++)
			r = run_at(o, subject, rate, o->seconds, &trial);
		snprintf(row->variant, sizeof row->variant, "%.0f %%",
			 question->multiples[i] * 100);
		row->x = question->multiples[i] * 100;
		if (r == -EINTR)
			return r;
		if (r < 0)
			bench_row_void(row, "%s", o->why);
		else if (question->is_void(o, &trial, rate, why))
			bench_row_void(row, "%s", why);
		if (r >= 0)
			question->put(&trial, knee, row);
	}
	return 0;
}

static int run_subject(struct openloop *o, const struct bench_subject *subject)
{
	bool is_limited = false;
	double knee = 0;
	int r = -ENOSYS;

	o->why = subject->absent;
	if (subject->absent == NULL)
		r = bench_trial_check_echo(&o->options->setting, subject, &o->why);
	if (r >= 0)
		r = find_knee(o, subject, &knee, &is_limited);
	if (r == -EINTR)
		return r;
	for (size_t i = 0; i < N_QUESTIONS && o->questions[i] != NULL && r >= 0; i++)
		r = ask(o, subject, knee, o->questions[i], &o->sets[i]);
	for (size_t i = 0; i < N_QUESTIONS && o->questions[i] != NULL && r != -EINTR; i++) {
		bool is_knee = o->questions[i] == &knee_question;
		struct bench_row *row = NULL;

		if (r < 0 || is_knee)
			row = bench_set_add(&o->sets[i], subject->name);
		if (r < 0)
			bench_row_void(row, "%s", o->why);
		else if (is_knee)
			put_knee(o, knee, is_limited, row);
	}
	return r == -EINTR ? r : 0;
}

static int deliver(struct openloop *o)
{
	char load[120];
	int r = 0;

	bench_load_describe(&o->load, load, sizeof load);
	for (size_t i = 0; i < N_QUESTIONS && o->questions[i] != NULL && r >= 0; i++) {
		snprintf(o->sets[i].title, sizeof o->sets[i].title, "%s, open loop", load);
		r = bench_output_deliver(o->options, &o->sets[i]);
	}
	return r;
}

static int run(const struct bench_options *options, const struct question *first,
	       const struct question *second, const struct question *third)
{
	struct openloop o = { .options = options,
			      .questions = { first, second, third },
			      .seconds = options->is_smoke      ? 0.05
					 : options->seconds > 0 ? options->seconds
								: 0.5 };
	int r = bench_options_get_subjects(options, NULL, &o.subjects);

	if (r < 0)
		return r;
	bench_options_get_load(options, &o.load);
	o.load.n_burst = options->n_burst ? options->n_burst : 1;
	o.load.n_window = 0;
	for (size_t i = 0; i < N_QUESTIONS && o.questions[i] != NULL; i++)
		o.sets[i] = (struct bench_set){
			.kind = o.questions[i]->kind,
			.baseline = options->baseline,
			.x_name = o.questions[i]->multiples[0] > 0 ? "rate, % of the knee" : NULL,
		};
	for (size_t i = 0; i < o.subjects.n && r >= 0; i++)
		r = run_subject(&o, &o.subjects.all[i]);
	if (r >= 0)
		r = deliver(&o);
	for (size_t i = 0; i < N_QUESTIONS; i++)
		bench_set_fini(&o.sets[i]);
	return r;
}

int bench_knee(const struct bench_options *options)
{
	return run(options, &knee_question, NULL, NULL);
}

int bench_latency(const struct bench_options *options)
{
	return run(options, &latency_question, NULL, NULL);
}

int bench_overload(const struct bench_options *options)
{
	return run(options, &overload_question, NULL, NULL);
}

int bench_openloop(const struct bench_options *options)
{
	return run(options, &knee_question, &latency_question, &overload_question);
}
