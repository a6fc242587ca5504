/* SPDX-License-Identifier: MIT */

/* serve: one subject as a server of its own, for other people's generators and for strace. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "subjects/server.h"

static int parse_address(const char *text, struct bench_server_config *config)
{
	const char *colon = strrchr(text, ':');
	char host[32];
	struct in_addr in;
	char *end;
	unsigned long port;

	if (colon == NULL || (size_t)(colon - text) >= sizeof host)
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (inet_pton(AF_INET, host, &in) != 1 || *end != '\0' || end == colon + 1 || port > 65535)
		return -EINVAL;
	config->address = ntohl(in.s_addr);
	config->port = (uint16_t)port;
	return 0;
}

int bench_serve(const struct bench_options *options)
{
	struct bench_server_config config = { .n_workers = options->setting.n_workers,
					      .n_listeners = options->setting.n_listeners,
					      .path = &options->setting.path,
					      .n_batch = options->setting.n_batch,
					      .cpus = options->setting.server_cpus,
					      .address = INADDR_LOOPBACK };
	struct bench_subjects subjects;

	if (options->address != NULL && parse_address(options->address, &config) < 0) {
		fprintf(stderr, "volley-bench: '%s' is not IPV4:PORT\n", options->address);
		return -EINVAL;
	}
	bench_subjects_get(options->program, &subjects);
	config.subject = options->argument != NULL
				 ? bench_subjects_find(&subjects, options->argument)
				 : NULL;
	if (config.subject == NULL) {
		fprintf(stderr, "volley-bench: serve WHO; see volley-bench list\n");
		return -EINVAL;
	}
	if (config.subject->absent != NULL) {
		fprintf(stderr, "volley-bench: %s\n", config.subject->absent);
		return -ENOSYS;
	}
	return bench_server_run(&config);
}
