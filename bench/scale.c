/* SPDX-License-Identifier: MIT */

/* scale: saturate, with one parameter varied at a time, one set (and file) for each. */

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "saturate.h"
#include "volley.h"

struct axis {
	const char *kind;
	const char *x_name;
	uint32_t values[10]; /* up to a 0 */
	uint32_t smoke[3];
	void (*apply)(struct bench_load *load, struct bench_options *options, uint32_t value);
};

static void apply_clients(struct bench_load *load, struct bench_options *options, uint32_t value)
{
	(void)options;
	load->n_clients = value;
}

static void apply_payload(struct bench_load *load, struct bench_options *options, uint32_t value)
{
	(void)options;
	load->sizes = (struct bench_sizes){ .n = 1, .bytes = { value }, .weight = { 1 } };
	if (value > 16384)
		load->n_burst = 1;
}

/* The window grows with the burst, so that there is always a choice of bursts under way. */
static void apply_burst(struct bench_load *load, struct bench_options *options, uint32_t value)
{
	(void)options;
	load->n_burst = value;
	if (load->n_window < 32 * value)
		load->n_window = 32 * value;
}

static void apply_workers(struct bench_load *load, struct bench_options *options, uint32_t value)
{
	const struct bench_cpus *cpus = &options->all_cpus;

	(void)load;
	options->n_workers = value;
	options->server_cpus.n = value < cpus->n ? value : cpus->n;
	for (uint32_t i = 0; i < options->server_cpus.n; i++)
		options->server_cpus.cpu[i] = cpus->cpu[cpus->n - 1 - i];
}

static const struct axis axes[] = {
	{ "scale-clients",
	  "client addresses",
	  { 1, 16, 256, 4096, 65536, 1000000 },
	  { 1, 1000 },
	  apply_clients },
	{ "scale-payload",
	  "payload, bytes",
	  { 64, 256, 1024, 4096, 16384 },
	  { 64, 9000 },
	  apply_payload },
	{ "scale-burst", "burst length", { 1, 2, 4, 8, 16, 32 }, { 1, 8 }, apply_burst },
	{ "scale-workers", "workers", { 1, 2, 4, 8, 16 }, { 1, 2 }, apply_workers },
};

static int run_axis(const struct bench_options *options, const struct axis *axis,
		    const struct bench_subjects *subjects)
{
	const uint32_t *values = options->smoke ? axis->smoke : axis->values;
	struct bench_set set = { .kind = axis->kind,
				 .baseline = options->baseline,
				 .x_name = axis->x_name };
	uint32_t n_cpus = options->all_cpus.n;
	int r = 0;

	for (size_t i = 0; values[i] > 0 && r >= 0; i++) {
		char variant[32];
		struct bench_options mine = *options;
		struct bench_saturate_config config = {
			.options = &mine,
			.subjects = subjects,
			.seconds = options->seconds > 0 ? options->seconds : 0.3,
			.n_rounds = options->n_rounds ? options->n_rounds : 3,
			.variant = variant,
			.x = values[i],
		};

		/* Beyond the CPUs there are, workers only take turns. */
		if (axis->apply == apply_workers && values[i] > n_cpus)
			break;
		snprintf(variant, sizeof(variant), "%u", values[i]);
		bench_options_get_load(options, &config.load);
		axis->apply(&config.load, &mine, values[i]);
		r = bench_saturate_measure(&config, &set);
	}
	snprintf(set.title, sizeof(set.title), "saturated echo over %s", axis->x_name);
	if (axis->apply == apply_workers)
		bench_set_note(
			&set,
			"With %u CPUs the generator shares one with a worker from %u workers on.",
			n_cpus, n_cpus);
	if (r >= 0)
		r = bench_options_deliver(options, &set);
	if (r >= 0)
		r = bench_saturate_judge(options, subjects, &set);
	bench_set_fini(&set);
	return r;
}

int bench_scale(const struct bench_options *options)
{
	struct bench_subjects subjects;
	const char *list = bench_volley_get_mode(0) ? "recvmmsg,gso,libevent,volley"
						    : "recvmmsg,gso,libevent";
	int r = bench_options_get_subjects(options, list, &subjects);

	for (size_t i = 0; i < sizeof(axes) / sizeof(axes[0]) && r >= 0; i++)
		if (!options->argument ||
		    strcmp(axes[i].kind + strlen("scale-"), options->argument) == 0)
			r = run_axis(options, &axes[i], &subjects);
	return r;
}
