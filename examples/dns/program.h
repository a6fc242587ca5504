/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_PROGRAM_H
#define EXAMPLES_DNS_PROGRAM_H

/* volley-dns as a whole: what the command line said, and what runs. */

#include <pthread.h>

#include "../common/options.h"
#include "serve.h"
#include "tcp.h"

struct dns_zone_config {
	const char *origin;
	const char *path;
	uint8_t apex[DNS_NAME_MAX];
};

struct dns_program {
	struct options options; /* first: volley's hooks get a pointer to it */
	struct dns_zone_config *zones;
	uint32_t n_zones;
	struct dns_hash_key key;
	struct dns_responder responder; /* what every reader starts from */
	uint32_t rrl_rate;
	uint32_t rrl_slip;
	struct dns_tcp_config tcp_config;
	bool no_tcp;
	struct volley_server *server;
	struct dns_tcp *tcp;
	struct dns_worker **workers; /* by index; each made by its worker */
	uint32_t n_workers;
	/* The reloader's, under `lock`. */
	pthread_mutex_t lock;
	pthread_t loader;
	bool has_loader; /* to be joined */
	bool is_loading;
	bool again;                  /* another SIGHUP came while loading */
	struct dns_catalog *catalog; /* the newest; we are one of its users */
	uint64_t n_reloads;
	uint64_t n_refused; /* zones that a load refused */
};

/*
 * Load every zone. One that is broken keeps what `old` has of it, or is answered with SERVFAIL;
 * each is told on stderr. NULL when memory is short. *ret_n_broken counts them.
 */
struct dns_catalog *dns_reload_load(const struct dns_program *program,
				    const struct dns_catalog *old, uint32_t *ret_n_broken);

/* On SIGHUP: load in the background and hand the zones to every reader. */
void dns_reload_request(struct dns_program *program);
/* Wait for a load in the background. */
void dns_reload_finish(struct dns_program *program);

/* Statistics, as struct options wants them. */
int dns_stats_format(struct options *options, char *text, size_t n_text);

#endif
