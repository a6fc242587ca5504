/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_TCP_LISTEN_H
#define EXAMPLES_DNS_TCP_LISTEN_H

/* The sockets on which tcp.c takes connections. One thread, all of it. */

#include <event2/listener.h>
#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

#include "counts.h"

enum { DNS_TCP_MAX_LISTENERS = 64 };

struct dns_tcp_listen {
	struct event_base *base;
	struct dns_counts *counts;
	evconnlistener_cb on_accept;
	void *arg; /* on_accept's */
	struct evconnlistener *listeners[DNS_TCP_MAX_LISTENERS];
	uint32_t n_listeners;
	struct event *retry; /* while they are parked, and the system is asked again */
	bool is_parked;
	bool is_closed;
	uint64_t told_s; /* when a failure was last told; 0: never */
};

/* The fields up to `arg` are set by the caller. 0, or -ENOMEM. */
int dns_tcp_listen_init(struct dns_tcp_listen *listen);
void dns_tcp_listen_fini(struct dns_tcp_listen *listen);

/* Listen on one more address. `is_v6only`: [::] takes no IPv4. 0, or a negative errno. */
int dns_tcp_listen_add(struct dns_tcp_listen *listen, const struct volley_addr *addr,
		       bool is_v6only);

/* A descriptor came free: whoever waits is taken now. */
void dns_tcp_listen_resume(struct dns_tcp_listen *listen);

/* Take nobody any more. */
void dns_tcp_listen_close(struct dns_tcp_listen *listen);

#endif
