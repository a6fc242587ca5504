/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_TCP_H
#define EXAMPLES_DNS_TCP_H

/* DNS over TCP (RFC 7766), on a thread of its own. */

#include <volley/addr.h>

#include "answer.h"
#include "counts.h"

struct dns_tcp_config {
	uint32_t n_connections; /* in all */
	uint32_t n_per_client;
	uint32_t idle_seconds;
};

struct dns_tcp;

/* `responder` is copied, but for its catalog. 0, or a negative errno. */
int dns_tcp_new(const struct dns_tcp_config *config, const struct dns_responder *responder,
		struct dns_tcp **ret_tcp);
/* Listen on one more address; before the start. `is_v6only`: [::] takes no IPv4. */
int dns_tcp_listen(struct dns_tcp *tcp, const struct volley_addr *addr, bool is_v6only);
/* After the first catalog was set. */
int dns_tcp_start(struct dns_tcp *tcp);

/* Answer from this catalog from now on; takes over one user. From one other thread. */
void dns_tcp_set_catalog(struct dns_tcp *tcp, struct dns_catalog *catalog);

/* Stop taking queries, send what is on its way for a second at most, end the thread. */
void dns_tcp_stop(struct dns_tcp *tcp);
void dns_tcp_free(struct dns_tcp *tcp);

const struct dns_counts *dns_tcp_get_counts(const struct dns_tcp *tcp);

#endif
