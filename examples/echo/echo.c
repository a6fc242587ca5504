/* SPDX-License-Identifier: MIT */

/*
 * volley-echo: sends every datagram back to where it came from (RFC 862), in place and in volleys.
 *
 * Datagrams from ports below 1024 are not replied to unless told so: those are the ports of other
 * servers, and two servers that reply to each other never stop (CVE-2024-2169).
 */

#include <stdio.h>

#include "../common/replace.h"

enum { LOW_PORTS = 1024 };

enum { OPTION_ALLOW_LOW_PORTS = OPTION_OWN, OPTION_REPLACE };

struct program {
	struct options options;
	const char *path; /* of --replace, or NULL */
	bool allow_low_ports;
};

static const char usage[] =
	"Usage: volley-echo --listen ADDR:PORT [options]\n"
	"\n"
	"Send every UDP datagram back to its sender.\n"
	"\n"
	"  --allow-low-ports     reply to source ports below 1024 too (danger of echo loops\n"
	"                        between servers)\n"
	"  --replace PATH        take the sockets over from the process that listens at this\n"
	"                        path, without losing a datagram, and then listen there\n";

static const char usage_end[] =
	"\n"
	"SIGTERM and SIGINT serve what is queued and exit; a second one stops at once. SIGUSR1\n"
	"writes the statistics. Exit codes: 0 ok, 1 run-time error, 2 usage.\n";

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	const bool *allow_low_ports = arg;

	(void)worker;
	for (size_t i = 0; i < n; i++) {
		if (volley_addr_get_port(packets[i].peer) < LOW_PORTS && !*allow_low_ports)
			continue;
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	}
}

static int serve(struct program *program)
{
	struct volley_listen_config listener;

	volley_listen_config_init(&listener, sizeof listener);
	listener.on_batch = echo;
	listener.arg = &program->allow_low_ports;
	return replace_serve(&program->options, &listener, program->path);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		OPTIONS_COMMON,
		{ "allow-low-ports", no_argument, NULL, OPTION_ALLOW_LOW_PORTS },
		{ "replace", required_argument, NULL, OPTION_REPLACE },
		{ NULL, 0, NULL, 0 },
	};
	struct program program = { .path = NULL };
	struct options *options = &program.options;
	int option;

	options_init(options, "volley-echo");
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			printf("%s%s%s", usage, options_help, usage_end);
			return EXIT_OK;
		}
		if (option == OPTION_ALLOW_LOW_PORTS)
			program.allow_low_ports = true;
		else if (option == OPTION_REPLACE)
			program.path = optarg;
		else if (options_take(options, option, optarg) != EXIT_OK)
			return EXIT_USAGE;
	}
	if (optind < argc || options->n_listen == 0) {
		fprintf(stderr, "volley-echo: %s; see volley-echo --help\n",
			optind < argc ? "options only, no arguments" : "--listen is missing");
		return EXIT_USAGE;
	}
	return serve(&program);
}
