/* SPDX-License-Identifier: MIT */

/*
 * volley-bench: which subcommand. SIGINT and SIGTERM are blocked from the start. Subcommands look
 * for them between steps (bench_interrupt_is_pending), so that Ctrl-C leaves no process, namespace
 * or half file.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "commands/help.h"
#include "commands/options.h"
#include "commands/table.h"
#include "figures/host.h"

static int run(const struct bench_command *command, struct bench_options *options)
{
	const char *why = bench_host_why_not_quotable();

	if (command->is_measuring && why != NULL && !options->is_smoke)
		fprintf(stderr, "volley-bench: %s\n", why);
	if (options->use_veth) {
		int r = command->has_path ? bench_path_open_veth(&options->setting.path) : -EINVAL;

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
	struct bench_options options = { 0 };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/*
	 * For generator and servers alike, where we may: fewer runs are void on a shared machine.
	 */
	setpriority(PRIO_PROCESS, 0, -20);
	r = bench_options_parse(argc, argv, &options);
	if (r < 0)
		return 2;
	if (options.wants_help)
		bench_help_print();
	if (options.wants_version)
		puts("volley-bench " BENCH_VERSION);
	if (options.wants_help || options.wants_version)
		return 0;
	for (size_t i = 0; (command = bench_table_get(i)) != NULL; i++) {
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
