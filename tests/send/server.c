/* SPDX-License-Identifier: MIT */

/*
 * An echo server of one worker with the listener flags that volley-echo has no option for. It
 * speaks as volley-echo does, so that tests/system/harness.py can drive it:
 *
 *	send_server --listen ADDR:PORT [--no-coalesce] [--report-errors] [--sndbuf BYTES]
 *		    [--never-fragment] --stats FILE
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <volley/volley.h>

#include "lib/listeners.h"

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static int write_stats(struct volley_server *server, const char *path)
{
	static char text[1 << 16];
	FILE *file = fopen(path, "we");

	volley_server_format_stats(server, text, sizeof text);
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "listen", required_argument, NULL, 'l' },
					       { "no-coalesce", no_argument, NULL, 'n' },
					       { "report-errors", no_argument, NULL, 'r' },
					       { "never-fragment", no_argument, NULL, 'f' },
					       { "believe-icmp", no_argument, NULL, 'i' },
					       { "sndbuf", required_argument, NULL, 'b' },
					       { "stats", required_argument, NULL, 's' },
					       { NULL, 0, NULL, 0 } };
	struct volley_listen_config listen = { .size = sizeof listen, .on_batch = echo };
	struct volley_server *server = NULL;
	const char *address = "127.0.0.1:0";
	const char *stats = "/dev/null";
	char text[VOLLEY_ADDR_TEXT_BYTES];
	sigset_t mask;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'l':
			address = optarg;
			break;
		case 'n':
			listen.flags |= VOLLEY_LISTEN_NO_COALESCE;
			break;
		case 'r':
			listen.flags |= VOLLEY_LISTEN_REPORT_ERRORS;
			break;
		case 'f':
			listen.mtu_discover = VOLLEY_MTU_DO;
			break;
		case 'i':
			listen.mtu_discover = VOLLEY_MTU_KERNEL;
			break;
		case 'b':
			listen.sndbuf_bytes = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 's':
			stats = optarg;
			break;
		default:
			return 2;
		}
	}
	if (volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) < 0 ||
	    volley_server_listen(server, address, &listen, NULL) < 0)
		return 1;
	volley_addr_format(LISTENER_ADDR(server, 0), text, sizeof text);
	/* From the line on, a signal is for the server, also before run takes them. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	fprintf(stderr, "volley-echo: ready on %s (1 workers, %s)\n", text,
		volley_server_get_io(server));
	if (volley_server_run(server) < 0 || volley_server_close(server) < 0 ||
	    write_stats(server, stats) < 0)
		return 1;
	return volley_server_free(server) < 0;
}
