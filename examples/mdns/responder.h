/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_MDNS_RESPONDER_H
#define EXAMPLES_MDNS_RESPONDER_H

#include <volley/volley.h>

#include "message.h"

enum { RESPONDER_LINKS = 16 };

struct link {
	const char *name;
	uint32_t index;
	struct {
		bool is_joined;
		uint64_t told_ns; /* when it was told all of it, 0: never; worker 0's */
	} groups[2];
};

struct responder {
	/* All workers read these, which stay as they are once there are some. */
	struct host host;
	struct link links[RESPONDER_LINKS];
	uint32_t n_links;
	struct volley_addr groups[2]; /* IPv4, IPv6 */
	struct volley_listener listener;
	/* Worker 0's. */
	struct volley_timer timer;
	uint32_t step;
	bool is_lost; /* the name is somebody else's */
};

/* Join the groups of the links and begin to probe. 0, or -errno. */
int responder_begin(struct responder *responder, struct volley_server *server);

/* The listener's callback. */
void responder_take(struct volley_worker *worker, struct volley_packet *packet, void *arg);

/* On every worker, when it ends. */
void responder_end(struct volley_worker *worker, struct responder *responder);

#endif
