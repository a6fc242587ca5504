/* SPDX-License-Identifier: MIT */

/* scale: saturate, with one parameter varied at a time, one set (and file) for each. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "output.h"
#include "saturate.h"

struct axis {
	const char *kind;
	const char *x_name;
	const char *values[10]; /* up to a NULL */
	const char *smoke[3];
	/* Takes a value, and says where it lies on the x axis. */
	double (*apply)(struct bench_load *load, struct bench_options *options, const char *value);
	const char *subjects; /* who can do it, and who the baseline is; NULL: as elsewhere */
	const char *baseline;
};

static double apply_clients(struct bench_load *load, struct bench_options *options,
			    const char *value)
{
	(void)options;
	load->n_clients = (uint32_t)strtoul(value, NULL, 10);
	return load->n_clients;
}

/* The bytes of the average datagram. */
static double apply_payload(struct bench_load *load, struct bench_options *options,
			    const char *value)
{
	double bytes = 0, weights = 0;

	(void)options;
	bench_sizes_parse(value, &load->sizes);
	for (uint32_t i = 0; i < load->sizes.n; i++) {
		bytes += (double)load->sizes.bytes[i] * load->sizes.weight[i];
		weights += load->sizes.weight[i];
	}
	return bytes / weights;
}

/* The window grows with the burst, so that there is always a choice of bursts under way. */
static double apply_burst(struct bench_load *load, struct bench_options *options, const char *value)
{
	(void)options;
	load->n_burst = (uint32_t)strtoul(value, NULL, 10);
	if (load->n_window < 32 * load->n_burst)
		load->n_window = 32 * load->n_burst;
	return load->n_burst;
}

static double apply_listeners(struct bench_load *load, struct bench_options *options,
			      const char *value)
{
	options->setting.n_listeners = (uint32_t)strtoul(value, NULL, 10);
	load->n_servers = options->setting.n_listeners;
	return options->setting.n_listeners;
}

static double apply_workers(struct bench_load *load, struct bench_options *options,
			    const char *value)
{
	const struct bench_cpus *cpus = &options->all_cpus;
	uint32_t n = (uint32_t)strtoul(value, NULL, 10);

	(void)load;
	options->setting.n_workers = n;
	options->setting.server_cpus.n = n < cpus->n ? n : cpus->n;
	for (uint32_t i = 0; i < options->setting.server_cpus.n; i++)
		options->setting.server_cpus.cpu[i] = cpus->cpu[cpus->n - 1 - i];
	return n;
}

/* The simple mix of internet traffic is 7:4:1 of small, middle and full packets. */
#define MIX "64:7,576:4,1472:1"

static const struct axis axes[] = {
	{ .kind = "scale-clients",
	  .x_name = "client addresses",
	  .values = { "1", "16", "256", "4096", "65536", "1000000" },
	  .smoke = { "1", "1000" },
	  .apply = apply_clients },
	{ .kind = "scale-payload",
	  .x_name = "payload, bytes",
	  .values = { "64", "256", MIX, "1024", "4096", "16384" },
	  .smoke = { MIX, "9000" },
	  .apply = apply_payload },
	{ .kind = "scale-burst",
	  .x_name = "burst length",
	  .values = { "1", "2", "4", "8", "16", "32" },
	  .smoke = { "1", "8" },
	  .apply = apply_burst },
	{ .kind = "scale-listeners",
	  .x_name = "listeners",
	  .values = { "1", "4", "16", "64" },
	  .smoke = { "1", "4" },
	  .apply = apply_listeners,
	  .subjects = "epoll,libevent,volley,volley-plain",
	  .baseline = "epoll" },
	{ .kind = "scale-workers",
	  .x_name = "workers",
	  .values = { "1", "2", "4", "8", "16" },
	  .smoke = { "1", "2" },
	  .apply = apply_workers },
};

static int run_axis(const struct bench_options *options, const struct axis *axis)
{
	const char *const *values = options->is_smoke ? axis->smoke : axis->values;
	const char *list = axis->subjects != NULL ? axis->subjects : "recvmmsg,gso,libevent,volley";
	struct bench_options mine = *options;
	struct bench_set set = { .kind = axis->kind, .x_name = axis->x_name };
	struct bench_subjects subjects;
	struct bench_load load;
	char text[120];
	uint32_t n_cpus = options->all_cpus.n;
	int r = bench_options_get_subjects(options, list, &subjects);

	if (axis->baseline != NULL)
		mine.baseline = axis->baseline;
	set.baseline = mine.baseline;
	for (size_t i = 0; values[i] != NULL && r >= 0; i++) {
		struct bench_saturate_config config = {
			.options = &mine,
			.subjects = &subjects,
			.seconds = options->seconds > 0 ? options->seconds : 0.3,
			.n_rounds = options->n_rounds ? options->n_rounds : 3,
			.variant = values[i],
		};

		bench_options_get_load(options, &config.load);
		config.x = axis->apply(&config.load, &mine, values[i]);
		/* Beyond the CPUs there are, workers only take turns. */
		if (axis->apply == apply_workers && config.x > n_cpus)
			break;
		r = bench_saturate_measure(&config, &set);
	}
	bench_options_get_load(options, &load);
	bench_load_describe(&load, text, sizeof text);
	snprintf(set.title, sizeof set.title, "%s varied: %s", axis->x_name, text);
	if (axis->apply == apply_workers)
		bench_set_note(
			&set,
			"With %u CPUs the generator shares one with a worker from %u workers on.",
			n_cpus, n_cpus);
	if (r >= 0)
		r = bench_output_finish(options, &subjects, &set, false);
	bench_set_fini(&set);
	return r;
}

int bench_scale(const struct bench_options *options)
{
	bool is_known = options->argument == NULL;
	int r = 0;

	for (size_t i = 0; i < sizeof axes / sizeof axes[0] && r >= 0; i++) {
		if (options->argument != NULL &&
		    strcmp(axes[i].kind + strlen("scale-"), options->argument) != 0)
			continue;
		is_known = true;
		r = run_axis(options, &axes[i]);
	}
	if (!is_known)
		fprintf(stderr,
			"volley-bench: scale clients, payload, burst, listeners or workers\n");
	return is_known ? r : -EINVAL;
}
