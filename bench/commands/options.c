/* SPDX-License-Identifier: MIT */

/* The command line, and what of a load and of subjects it asks for. */

#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "subjects/server.h"

enum option_code {
	OPT_SUBJECTS = 1000,
	OPT_BASELINE,
	OPT_PROGRAM,
	OPT_OUT,
	OPT_ADDRESS,
	OPT_SMOKE,
	OPT_JSON,
	OPT_QUIET,
	OPT_GRO,
	OPT_SINGLE,
	OPT_PATH,
	OPT_SIZES,
	OPT_CLIENTS,
	OPT_SOCKETS,
	OPT_BURST,
	OPT_WINDOW,
	OPT_RATE,
	OPT_SECONDS,
	OPT_ROUNDS,
	OPT_PRELOAD,
	OPT_WORKERS,
	OPT_LISTENERS,
	OPT_BATCH,
	OPT_SERVER_CPUS,
	OPT_GENERATOR_CPU,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "subjects", required_argument, NULL, OPT_SUBJECTS },
	{ "baseline", required_argument, NULL, OPT_BASELINE },
	{ "volley-echo", required_argument, NULL, OPT_PROGRAM },
	{ "out", required_argument, NULL, OPT_OUT },
	{ "listen", required_argument, NULL, OPT_ADDRESS },
	{ "smoke", no_argument, NULL, OPT_SMOKE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "client-gro", no_argument, NULL, OPT_GRO },
	{ "client-no-gso", no_argument, NULL, OPT_SINGLE },
	{ "path", required_argument, NULL, OPT_PATH },
	{ "sizes", required_argument, NULL, OPT_SIZES },
	{ "clients", required_argument, NULL, OPT_CLIENTS },
	{ "sockets", required_argument, NULL, OPT_SOCKETS },
	{ "burst", required_argument, NULL, OPT_BURST },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "preload", required_argument, NULL, OPT_PRELOAD },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "listeners", required_argument, NULL, OPT_LISTENERS },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "server-cpus", required_argument, NULL, OPT_SERVER_CPUS },
	{ "generator-cpu", required_argument, NULL, OPT_GENERATOR_CPU },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int parse_u32(const char *text, uint32_t low, uint32_t high, uint32_t *ret_value)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value < low || value > high)
		return -EINVAL;
	*ret_value = (uint32_t)value;
	return 0;
}

static int parse_double(const char *text, double *ret_value)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value > 0) || value > 1e9)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static int parse_numbers(struct bench_options *o, int option, const char *text)
{
	uint32_t cpu = 0;
	int r;

	switch (option) {
	case OPT_SIZES:
		return bench_sizes_parse(text, &o->sizes);
	case OPT_CLIENTS:
		return parse_u32(text, 1, 1000000, &o->n_clients);
	case OPT_SOCKETS:
		return parse_u32(text, 1, 1000, &o->n_sockets);
	case OPT_BURST:
		return parse_u32(text, 1, BENCH_LOAD_MAX_BURST, &o->n_burst);
	case OPT_WINDOW:
		return parse_u32(text, 1, 1 << 20, &o->n_window);
	case OPT_RATE:
		return parse_double(text, &o->rate);
	case OPT_SECONDS:
		return parse_double(text, &o->seconds);
	case OPT_ROUNDS:
		return parse_u32(text, 1, 100000, &o->n_rounds);
	case OPT_PRELOAD:
		return parse_u32(text, 1, 1 << 20, &o->n_preload);
	case OPT_WORKERS:
		return parse_u32(text, 1, 64, &o->setting.n_workers);
	case OPT_LISTENERS:
		return parse_u32(text, 1, BENCH_SERVER_MAX_LISTENERS, &o->setting.n_listeners);
	case OPT_BATCH:
		return parse_u32(text, 1, 1024, &o->setting.n_batch);
	case OPT_SERVER_CPUS:
		return bench_cpus_parse(text, &o->setting.server_cpus);
	case OPT_GENERATOR_CPU:
		r = parse_u32(text, 0, 1023, &cpu);
		o->setting.generator_cpu = (int)cpu;
		return r;
	default:
		return -EINVAL;
	}
}

static int parse_one(struct bench_options *o, int option, const char *text)
{
	switch (option) {
	case OPT_SUBJECTS:
		o->subjects = text;
		return 0;
	case OPT_BASELINE:
		o->baseline = text;
		return 0;
	case OPT_PROGRAM:
		o->program = text;
		return 0;
	case OPT_OUT:
		o->out = text;
		return 0;
	case OPT_ADDRESS:
		o->address = text;
		return 0;
	case OPT_SMOKE:
		o->is_smoke = true;
		return 0;
	case OPT_JSON:
		o->is_json = true;
		return 0;
	case OPT_QUIET:
		o->is_quiet = true;
		return 0;
	case OPT_GRO:
		o->use_gro = true;
		return 0;
	case OPT_SINGLE:
		o->is_single = true;
		return 0;
	case OPT_PATH:
		o->use_veth = strcmp(text, "veth") == 0;
		return o->use_veth || strcmp(text, "loopback") == 0 ? 0 : -EINVAL;
	default:
		return parse_numbers(o, option, text);
	}
}

static void keep_line(struct bench_options *o, int argc, char **argv)
{
	size_t n = 0;

	for (int i = 0; i < argc && n < sizeof o->line; i++) {
		const char *word = i == 0 ? "volley-bench" : argv[i];

		n += (size_t)snprintf(o->line + n, sizeof o->line - n, "%s%s", i ? " " : "", word);
	}
}

static void set_defaults(struct bench_options *o)
{
	const struct bench_cpus *cpus = &o->all_cpus;

	bench_path_init(&o->setting.path);
	bench_cpus_get(&o->all_cpus);
	if (o->setting.server_cpus.n == 0) {
		/*
		 * From the last CPU down: the first one takes most interrupts, and the generator.
		 */
		uint32_t n = o->setting.n_workers ? o->setting.n_workers : 1;

		o->setting.server_cpus.n = n < cpus->n ? n : cpus->n;
		for (uint32_t i = 0; i < o->setting.server_cpus.n; i++)
			o->setting.server_cpus.cpu[i] = cpus->cpu[cpus->n - 1 - i];
	}
	if (o->setting.generator_cpu < 0)
		o->setting.generator_cpu = cpus->n ? cpus->cpu[0] : 0;
	o->setting.n_workers = o->setting.n_workers ? o->setting.n_workers : 1;
	o->setting.n_listeners = o->setting.n_listeners ? o->setting.n_listeners : 1;
	o->setting.n_batch = o->setting.n_batch ? o->setting.n_batch : 64;
	o->baseline = o->baseline != NULL ? o->baseline : "recvmmsg";
}

int bench_options_parse(int argc, char **argv, struct bench_options *ret_options)
{
	struct bench_options o = { .setting.generator_cpu = -1 };
	int option;

	keep_line(&o, argc, argv);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPT_HELP || option == OPT_VERSION) {
			ret_options->wants_help = option == OPT_HELP;
			ret_options->wants_version = option == OPT_VERSION;
			return 0;
		}
		if (option == '?')
			return -EINVAL;
		if (parse_one(&o, option, optarg) < 0) {
			fprintf(stderr,
				"volley-bench: '%s' is not a value for that option; see --help\n",
				optarg);
			return -EINVAL;
		}
	}
	if (optind >= argc) {
		fprintf(stderr, "volley-bench: no subcommand; see --help\n");
		return -EINVAL;
	}
	o.command = argv[optind];
	o.argument = optind + 1 < argc ? argv[optind + 1] : NULL;
	set_defaults(&o);
	*ret_options = o;
	return 0;
}

void bench_options_get_load(const struct bench_options *options, struct bench_load *ret_load)
{
	struct bench_load load = { .sizes = options->sizes,
				   .path = options->setting.path.name,
				   .source = options->setting.path.source,
				   .n_servers = options->setting.n_listeners,
				   .n_clients = options->n_clients ? options->n_clients : 16,
				   .n_sockets = options->n_sockets ? options->n_sockets : 1,
				   .n_burst = options->n_burst ? options->n_burst : 2,
				   .n_window = options->n_window ? options->n_window : 256,
				   .use_gro = options->use_gro,
				   .is_single = options->is_single };

	if (load.sizes.n == 0)
		load.sizes = (struct bench_sizes){ .n = 1, .bytes = { 64 }, .weight = { 1 } };
	if (load.n_sockets > load.n_clients)
		load.n_sockets = load.n_clients;
	*ret_load = load;
}

int bench_options_get_subjects(const struct bench_options *options, const char *default_list,
			       struct bench_subjects *ret_subjects)
{
	const char *list = options->subjects != NULL ? options->subjects : default_list;
	const char *bad;

	bench_subjects_get(options->program, ret_subjects);
	if (list == NULL || bench_subjects_select(ret_subjects, list, &bad) >= 0)
		return 0;
	fprintf(stderr, "volley-bench: no subject '%.*s'; see volley-bench list\n",
		(int)strcspn(bad, ","), bad);
	return -ENOENT;
}
