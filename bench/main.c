/* SPDX-License-Identifier: MIT */

/* volley-bench: the table of subcommands. SIGINT and SIGTERM are blocked from the start and
 * looked for between steps (bench_interrupted), so that Ctrl-C leaves no process, namespace or
 * half file. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "commands/commands.h"
#include "figures/host.h"

static const struct bench_command commands[] = {
	{ "quick", "the headline table, in under two minutes", bench_quick, true },
	{ "all", "every measurement, into the --out folder; takes long", bench_all, true },
	{ "demo", "volley-echo beside two plain loops, in under a minute", bench_demo, true, true },
	{ "preload", "thread CPU time per queued datagram against a baseline, ABBA", bench_abba,
	  true },
	{ "saturate", "replies per server CPU second; a core for each side", bench_saturate, true,
	  true },
	{ "knee", "the highest rate that loses at most 0.1 %", bench_knee, true, true },
	{ "latency", "open loop, percentiles at 10, 50, 70 and 90 % of the knee", bench_latency,
	  true, true },
	{ "overload", "what is still answered at 1, 1.5, 2 and 4 times the knee", bench_overload,
	  true, true },
	{ "openloop", "knee, latency and overload, with one search for the knee", bench_openloop,
	  true, true },
	{ "count", "system calls, instructions, cache misses, allocations per datagram",
	  bench_count, true },
	{ "null", "what the library alone costs, without the kernel", bench_null, true },
	{ "stop", "how long volley takes to stop, idle and flooded", bench_stop, true },
	{ "scale", "saturate over clients, payload, burst, listeners, workers", bench_scale, true,
	  true },
	{ "report", "plots and one HTML page from the JSON files of a folder", bench_report },
	{ "serve", "be one subject's echo server, until Ctrl-C", bench_serve },
	{ "once", "preloaded runs of one subject, for count to look at", bench_once },
	{ "list", "what can be measured here, and on what machine", bench_list },
};

const struct bench_command *bench_commands_get(size_t i)
{
	return i < sizeof(commands) / sizeof(commands[0]) ? &commands[i] : NULL;
}

int bench_list(const struct bench_options *options)
{
	struct bench_subjects subjects;

	bench_subjects_get(options->program, &subjects);
	for (size_t i = 0; i < subjects.n; i++)
		printf("  %-22s %s%s%s\n", subjects.all[i].name, subjects.all[i].about,
		       subjects.all[i].absent ? "; ABSENT: " : "",
		       subjects.all[i].absent ? subjects.all[i].absent : "");
	putchar('\n');
	bench_host_print(stdout);
	return 0;
}

static int run(const struct bench_command *command, struct bench_options *options)
{
	const char *why = bench_host_why_not_quotable();

	if (command->is_measuring && why && !options->smoke)
		fprintf(stderr, "volley-bench: %s\n", why);
	if (options->use_veth) {
		int r = command->has_path ? bench_path_open_veth(&options->path) : -EINVAL;

		if (!command->has_path)
			fprintf(stderr, "volley-bench: %s has no use for --path veth\n",
				command->name);
		if (r < 0)
			return r;
	}
	return command->run(options);
}

int main(int argc, char **argv)
{
	const struct bench_command *command;
	struct bench_options options;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* For generator and servers alike, where we may: fewer runs are void on a shared
	 * machine. */
	setpriority(PRIO_PROCESS, 0, -20);
	r = bench_options_parse(argc, argv, &options);
	if (r != 0)
		return r > 0 ? 0 : 2;
	for (size_t i = 0; (command = bench_commands_get(i)) != NULL; i++) {
		if (strcmp(command->name, options.command) != 0)
			continue;
		r = run(command, &options);
		if (r < 0)
			fprintf(stderr, "volley-bench: %s: %s\n", command->name,
				r == -EINTR ? "interrupted" : strerror(-r));
		return r < 0;
	}
	fprintf(stderr, "volley-bench: there is no subcommand '%s'; see volley-bench --help\n",
		options.command);
	return 2;
}
