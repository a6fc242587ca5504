/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_HANDOVER_BOOKS_H
#define VLY_SERVER_HANDOVER_BOOKS_H

/* This server's counters, on their way to another process. */

#include "server/handover/wire.h"
#include "server/state.h"

/* The totals as of now, balanced by themselves; no drop counts. */
void vly_books_fill(struct volley_server *server, struct vly_handover_counters *ret_counters)
	VLY_REQUIRES(server->shared.lock);

/*
 * At the end: to the processes that serve on in our place. Drops are left out, for they have read
 * them from the same sockets.
 */
void vly_books_give_back(struct volley_server *server);

#endif
