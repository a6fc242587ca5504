/* SPDX-License-Identifier: MIT */

#include "common.h"

#include <stdio.h>
#include <stdlib.h>

#include "../common/start.h"

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	(void)worker, (void)arg;
}

static struct volley_listener listener;

struct volley_server *common_open(int argc, char **argv, const struct volley_config *config)
{
	struct volley_config own = *config;
	struct volley_server *server;
	int r;

	start_program();
	if (volley_version_number() < VOLLEY_VERSION_NUMBER)
		fprintf(stderr, "built for volley %s, runs with %s\n", VOLLEY_VERSION_STRING,
			volley_version());
	own.log = volley_log_stderr;
	r = volley_server_new(&own, &server);
	if (r < 0)
		return NULL;
	r = volley_server_listen(server, argc > 1 ? argv[1] : "127.0.0.1:7777",
				 VOLLEY_LISTEN(.on_batch = echo), &listener);
	if (r >= 0)
		return server;
	volley_server_free(server);
	return NULL;
}

void common_announce(struct volley_server *server, const char *program)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr addr;

	volley_listener_get_addr(server, listener, &addr);
	volley_addr_format(&addr, text, sizeof text);
	fprintf(stderr, "%s: ready on %s\n", program, text);
}

int common_close(struct volley_server *server)
{
	int r = volley_server_close(server);
	int n = volley_server_format_stats(server, NULL, 0);
	char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;

	if (text != NULL && volley_server_format_stats(server, text, (size_t)n + 1) == n)
		fputs(text, stdout);
	free(text);
	volley_server_free(server);
	return r < 0 || text == NULL;
}
