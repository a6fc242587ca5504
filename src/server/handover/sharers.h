/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_HANDOVER_SHARERS_H
#define VLY_SERVER_HANDOVER_SHARERS_H

/* Who else may hold our sockets, and whether they live. */

#include "server/handover/wire.h"
#include "server/state.h"

/*
 * One more, with its descriptors, which are ours from here on. Returns the pidfd by which it is
 * found; or -1, without a pidfd or when there are too many: they are closed then, and its death
 * will never be known.
 */
int vly_sharers_add(struct volley_server *server, const struct vly_sharer *sharer);

/* The one with this pidfd, or NULL. */
struct vly_sharer *vly_sharers_find(struct volley_server *server, int pidfd)
	VLY_REQUIRES(server->shared.lock);

/*
 * Whether one that was added with this pidfd has died. A look of another thread may have found that
 * first: the descriptor is closed then, and must not be asked. Of -1 nothing is known: false.
 */
bool vly_sharers_is_dead(struct volley_server *server, int pidfd);

/* It is no sharer: it has closed its copies, and nobody else can have them from it. */
void vly_sharers_remove(struct volley_server *server, int pidfd);

/* Forget the dead, and hear what the others have said. Never sleeps. */
void vly_sharers_update(struct volley_server *server) VLY_REQUIRES(server->shared.lock);

/* Counters of a process that has served in our place, and whose sockets are ours again. */
void vly_sharers_take_books(struct volley_server *server,
			    const struct vly_handover_counters *counters)
	VLY_REQUIRES(server->shared.lock);

/* Before anything that would break a socket for others: is it ours alone again? */
void vly_sharers_settle(struct volley_server *server) VLY_REQUIRES(server->listening);

/* This server begins to end, or to serve again. Those who rely on it hear of the former. */
void vly_sharers_set_ends(struct volley_server *server, bool ends);

/* The descriptors. */
void vly_sharers_fini(struct volley_server *server);

#endif
