/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_HANDOVER_IMPORT_H
#define VLY_SERVER_HANDOVER_IMPORT_H

/* The sockets of the process before this one. With the server's `listening`. */

#include <volley/addr.h>

#include "path/bounds.h"
#include "server/adopt.h"
#include "server/handover/further.h"

struct vly_import {
	struct vly_handover *handover; /* made before it is needed */
	uint64_t id;                   /* of this hand-over, among the sharers */
	bool is_given_up;              /* this process does not replace it */
	uint32_t n_all;                /* as many were offered */
	uint32_t n;                    /* have come */
	uint32_t n_first_taken;        /* so many of the first are taken */
	struct vly_bounds bounds;      /* what they are bound to */
	struct vly_set cookies;        /* of all sockets, the server's own too */
	struct vly_further further;    /* until the program has them */
	struct vly_candidate candidates[];
};

/*
 * Listen on imported sockets of this address, of any port for port 0. Returns the listener's index,
 * -ENOENT when there are none, or what adopting them returns.
 */
int vly_import_listen(struct volley_server *server, const struct volley_addr *addr,
		      const struct volley_listen_config *config) VLY_REQUIRES(server->listening);

/* A listener was closed, and what it had been given with it: the old one keeps that. */
void vly_import_forget(struct volley_server *server, uint32_t listener_index)
	VLY_REQUIRES(server->listening);

/* Whether an imported socket, taken or not, has a part of what is to be bound, or the reverse. */
bool vly_import_has_overlap(const struct volley_server *server, const struct vly_bound *bound)
	VLY_REQUIRES(server->listening);

/* A process has served and nobody has its counters; the JSON names the hole. */
void vly_import_add_missing(struct volley_server *server);

/* Close what was imported and not taken. */
void vly_import_fini(struct volley_server *server) VLY_REQUIRES(server->listening);

#endif
