/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_SERVE_H
#define EXAMPLES_DNS_SERVE_H

/* Answering a volley. */

#include <volley/volley.h>

#include "answer.h"
#include "counts.h"
#include "rrl.h"

/*
 * Queries looked at together: enough that memory has come when it is needed, few enough that what
 * was parsed is still in the first-level cache (each fills 4 to 6 lines).
 */
enum { DNS_N_TOGETHER = 32 };

/* One per worker; only its thread touches it, but for reading the counts. */
struct dns_worker {
	struct dns_responder responder;
	struct dns_catalog *catalog; /* the one of `responder`, of which we are a user */
	struct dns_rrl *rrl;         /* NULL: no limit */
	struct dns_counts counts;
	const struct dns_zone *zones[DNS_N_TOGETHER];
	struct dns_query queries[DNS_N_TOGETHER];
};

/* The packet callback; the worker's data is a struct dns_worker. */
void dns_serve(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg);

#endif
