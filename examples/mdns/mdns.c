/* SPDX-License-Identifier: MIT */

/*
 * mdns: a responder for one host name under .local, on the links that it is given (RFC 6762). The
 * addresses that it tells on a link are those that the link has at that moment.
 *
 *     probe, three times, 250 ms apart -> announce, twice -> reply -> say goodbye, at a drain
 *
 * A reply goes to the group, once a second at most; to the querier alone, where that wants it and
 * the group has heard the same within a quarter of its time; and to resolvers that know nothing of
 * all this, whose port is not 5353, as a plain DNS server's. What a querier knows it is not told.
 * Groups are heard by worker 0, so it alone probes and has the links' times; queries that are sent
 * to this host alone are any worker's, and are replied to only on the links' own networks.
 *
 * Somebody who defends the name while it is probed ends this program: it looks for no other name. A
 * conflict that comes later makes it probe again. Left out: which of two wins who probe at once
 * (section 8.2; they begin at random times instead), known addresses that come in a second message
 * (7.2), and links and addresses that come or go (8.4): those of the next reply are right, but
 * nobody is told before, and a link that was away is joined by a new start only.
 */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/options.h"
#include "responder.h"

enum { OPTION_INTERFACE = OPTION_OWN };

struct program {
	struct options options; /* first: the hooks get it */
	struct responder responder;
};

static const char usage[] =
	"Usage: mdns --interface NAME [--interface NAME ...] [options] HOST.local\n"
	"\n"
	"Tell the addresses of this host on these links by multicast DNS.\n"
	"\n"
	"  --interface NAME      a link, such as eth0; up to 16 of them\n"
	"  --workers N           worker threads, 1 to 1024 (default: one per CPU)\n"
	"  --stats FILE          write the ledger as JSON at exit and on SIGUSR1; - is stdout\n"
	"  --version, --help\n"
	"\n"
	"SIGTERM and SIGINT say goodbye and exit; a second one stops at once. Exit codes: 0 ok,\n"
	"1 run-time error, 2 usage.\n";

static int on_ready(struct options *options, struct volley_server *server)
{
	return responder_begin(&((struct program *)options)->responder, server);
}

static void on_drain(struct volley_worker *worker, void *arg)
{
	responder_end(worker, &((struct program *)arg)->responder);
}

static int take_link(struct program *program, const char *name)
{
	uint32_t index = if_nametoindex(name);

	if (index == 0 || program->responder.n_links == RESPONDER_LINKS) {
		fprintf(stderr, "mdns: --interface %s: %s\n", name,
			index == 0 ? strerror(errno) : "more than 16 of them");
		return EXIT_USAGE;
	}
	program->responder.links[program->responder.n_links++] = (struct link){ .name = name,
										.index = index };
	return EXIT_OK;
}

/* The text is what libresolv makes of it, so that names can be compared as texts. */
static int take_name(struct program *program, const char *name)
{
	struct host *host = &program->responder.host;
	size_t len = strlen(name);

	if (len <= 6 || strcasecmp(name + len - 6, ".local") != 0 ||
	    ns_name_pton(name, host->wire, sizeof host->wire) < 0 ||
	    ns_name_ntop(host->wire, host->name, sizeof host->name) < 0) {
		fprintf(stderr, "mdns: \"%s\" is no name of a host, as in host.local\n", name);
		return EXIT_USAGE;
	}
	while (host->wire[host->wire_len] != 0)
		host->wire_len += host->wire[host->wire_len] + 1u;
	host->wire_len++;
	return EXIT_OK;
}

static int take_options(struct program *program, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "interface", required_argument, NULL, OPTION_INTERFACE },
		{ "workers", required_argument, NULL, OPTION_WORKERS },
		{ "stats", required_argument, NULL, OPTION_STATS },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, code = EXIT_OK;

	while (code == EXIT_OK && (option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			exit(EXIT_OK);
		}
		code = option == OPTION_INTERFACE ? take_link(program, optarg)
						  : options_take(&program->options, option, optarg);
	}
	if (code == EXIT_OK && (optind + 1 != argc || program->responder.n_links == 0)) {
		fprintf(stderr, "mdns: %s; see mdns --help\n",
			optind + 1 != argc ? "one HOST.local is wanted" : "--interface is missing");
		code = EXIT_USAGE;
	}
	return code == EXIT_OK ? take_name(program, argv[optind]) : code;
}

int main(int argc, char **argv)
{
	static struct program program;
	struct options *options = &program.options;
	int code;

	options_init(options, "mdns");
	options->config.on_drain = on_drain;
	options->on_ready = on_ready;
	options->listen[options->n_listen++] = "*:5353";
	volley_addr_parse("224.0.0.251:5353", &program.responder.groups[0]);
	volley_addr_parse("[ff02::fb]:5353", &program.responder.groups[1]);
	code = take_options(&program, argc, argv);
	if (code == EXIT_OK)
		code = options_serve(options, VOLLEY_LISTEN(.on_packet = responder_take,
							    .arg = &program.responder,
							    .flags = VOLLEY_LISTEN_WANT_INTERFACE |
								     VOLLEY_LISTEN_MULTICAST_LOOP));
	return code == EXIT_OK && program.responder.is_lost ? EXIT_RUNTIME : code;
}
