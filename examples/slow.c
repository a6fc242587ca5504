/* SPDX-License-Identifier: MIT */

/*
 * slow ADDR:PORT [HANDLERS]: an echo whose every reply takes a millisecond, as if it asked a
 * database. Eight handler threads wait while the worker goes on receiving, so it replies to many
 * clients up to eight times as often as one thread could, and loses nothing below that rate. One
 * client's packets stay in order and so with one handler, unless .spread is VOLLEY_SPREAD_ANY.
 * SIGTERM or SIGINT serves what is queued, prints the ledger, and exits.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include <volley/volley.h>

#include "common/start.h"

enum { N_HANDLERS = 8, WAIT_NS = 1000000 };

/* A wait that a stop ends: all of volley's cancellation points do. */
static void reply_slowly(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	const struct timespec wait = { .tv_nsec = WAIT_NS };

	(void)worker, (void)arg;
	if (volley_ppoll(NULL, 0, &wait, NULL) < 0)
		return; /* -ECANCELED: the server stops and nobody waits for this reply */
	volley_packet_reply(packet, packet->data, packet->len);
}

/* As the worker starts: from here on SIGTERM is taken by volley_server_run(). */
static int say_ready(struct volley_worker *worker, void *arg)
{
	struct volley_server *server = volley_worker_get_server(worker);
	const struct volley_listener *listener = arg;
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr addr;

	volley_listener_get_addr(server, *listener, &addr);
	volley_addr_format(&addr, text, sizeof text);
	fprintf(stderr, "slow: ready on %s\n", text);
	return 0;
}

static void print_ledger(struct volley_server *server)
{
	static char text[1 << 16];

	if (volley_server_format_stats(server, text, sizeof text) > 0)
		fputs(text, stdout);
}

static int serve(const char *address, uint32_t n_handlers)
{
	struct volley_server *server = NULL;
	struct volley_listener listener;
	int r = volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = n_handlers,
						.drain_us = 5000000, .on_start = say_ready,
						.log = volley_log_stderr, .arg = &listener),
				  &server);

	if (r >= 0)
		r = volley_server_listen(server, address, VOLLEY_LISTEN(.on_packet = reply_slowly),
					 &listener);
	if (r >= 0)
		r = volley_server_run(server);
	if (r >= 0)
		print_ledger(server);
	volley_server_free(server);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	unsigned long n_handlers = argc > 2 ? strtoul(argv[2], NULL, 10) : N_HANDLERS;

	if (argc < 2 || argc > 3 || n_handlers < 1 || n_handlers > 256) {
		fprintf(stderr, "usage: slow ADDR:PORT [HANDLERS], 1 to 256 of them\n");
		return 2;
	}
	start_program();
	/* A millisecond shall be one: the kernel may add 50 us to each wait otherwise. */
	prctl(PR_SET_TIMERSLACK, 1);
	return serve(argv[1], (uint32_t)n_handlers);
}
