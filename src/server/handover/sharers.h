/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_HANDOVER_SHARERS_H
#define VLY_SERVER_HANDOVER_SHARERS_H

/* Who else may hold our sockets, and whether anybody still does. */

#include "server/handover/wire.h"
#include "server/state.h"

/*
 * The first words of either side: each gives the other a lease on what it holds. `waits`: that the
 * other one wants our counters if it serves on. Returns 0, and by what number the hand-over is
 * known here, which is none of an earlier one; what vly_wire_recv() returns; -EUSERS when too many
 * are known already; -EMFILE. After a failure nothing is kept.
 */
int vly_sharers_begin(struct volley_server *server, struct vly_handover *handover, bool waits,
		      uint64_t *ret_id);

/*
 * Descriptors for whoever gets our sockets in hand-over `id`, of all the leases that it must know:
 * what it has to watch, and what it has to hold; and of each, whether it is watched and its server
 * may read. At most VLY_UNIX_N_FDS; the caller closes them.
 */
int vly_sharers_keep_leases(struct volley_server *server, uint64_t id, int *ret_fds,
			    uint8_t *ret_reads, uint32_t *ret_n);
/* Those that came with the sockets of hand-over `id`; taken over or closed. 0; -EPROTO; -EUSERS. */
int vly_sharers_take_leases(struct volley_server *server, uint64_t id, const int *fds,
			    const uint8_t *reads, uint32_t n);

/* The other side of a hand-over, or NULL. */
struct vly_sharer *vly_sharers_find(struct volley_server *server, uint64_t id)
	VLY_REQUIRES(server->shared.lock);

/* Whether the other side of a hand-over, and all who have the sockets from it, hold none. */
bool vly_sharers_is_over(struct volley_server *server, uint64_t id);
/* Wait for that, or for its death; until the conversation's time is over at most. */
void vly_sharers_wait_end(struct volley_server *server, const struct vly_handover *handover,
			  uint64_t id);

/* Nobody has sockets by this hand-over; what was known by it is forgotten. */
void vly_sharers_remove(struct volley_server *server, uint64_t id);

/* Does this server hold no socket any more that others may have, nothing is owed to anybody. */
void vly_sharers_release(struct volley_server *server) VLY_REQUIRES(server->listening);

/* Forget those who hold nothing any more, and hear what the others have said. Never sleeps. */
void vly_sharers_update(struct volley_server *server) VLY_REQUIRES(server->shared.lock);

/*
 * Counters of a server that has served in our place, and whose sockets are ours again. Returns
 * whether they mean what ours do; else they are missing.
 */
bool vly_sharers_take_books(struct volley_server *server,
			    const struct vly_handover_counters *counters)
	VLY_REQUIRES(server->shared.lock);

/* Before anything that would break a socket for others: is it ours alone again? */
void vly_sharers_settle(struct volley_server *server) VLY_REQUIRES(server->listening);
/* Nobody else has this listener's sockets any more: they get the options that it asks for. */
void vly_sharers_adopt(struct volley_server *server, struct vly_listener *listener)
	VLY_REQUIRES(server->listening);

/* This server begins to end, or to serve again. Those who rely on it hear of the former. */
void vly_sharers_set_ends(struct volley_server *server, bool ends);
/* Nobody can rely on this server any more, and those who do hear of it. */
void vly_sharers_end_talks(struct volley_server *server);

/* The descriptors, without a word and without the lock: in the end, or in a forked child. */
void vly_sharers_fini(struct volley_server *server);

#endif
