/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_LISTENERS_H
#define VLY_SERVER_LISTENERS_H

/*
 * A server's set of listeners, whether it runs or not. With `listening`, but for what says
 * otherwise.
 */

#include <stdbool.h>

#include "server/state.h"

/*
 * Take `listening` for a change, if there can be one. False: it is not taken, and *ret_error says
 * why: -EDEADLK for a worker; -ESHUTDOWN of a closed server; -EBUSY in a hand-over.
 */
bool vly_listeners_lock(struct volley_server *server, int *ret_error)
	VLY_TRIES(true, server->listening);
/* The same for an end of the server, which ends a hand-over as well, and always succeeds. */
void vly_listeners_lock_to_end(struct volley_server *server) VLY_ACQUIRES(server->listening);
void vly_listeners_unlock(struct volley_server *server) VLY_RELEASES(server->listening);

/*
 * A listener with a free index, its config read, and not in the set yet: free it with
 * vly_listener_free(). 0; -EINVAL for the config or one too many to wait for; -ENOMEM.
 */
int vly_listeners_new(struct volley_server *server, const struct volley_listen_config *config,
		      struct vly_listener **ret_listener) VLY_REQUIRES(server->listening);

/*
 * Put a listener into the set and give its sockets to the workers, to whom they belong from then
 * on. 0; -EINVAL for too many sockets to wait for; -ENOMEM. After a failure nothing has changed.
 */
int vly_listeners_add(struct volley_server *server, struct vly_listener *listener)
	VLY_REQUIRES(server->listening);

/* Its sockets are about to be closed: no group is joined or left there any more. */
void vly_listeners_end(struct volley_server *server, struct vly_listener *listener)
	VLY_REQUIRES(server->listening);

/* Take a listener out of the set again. Its sockets stay open, and it stays the caller's. */
void vly_listeners_remove(struct volley_server *server, struct vly_listener *listener)
	VLY_REQUIRES(server->listening);

/* Forget the listener of an index; no worker knows it any more. */
void vly_listeners_forget(struct volley_server *server, uint32_t listener_index)
	VLY_REQUIRES(server->listening);

/* The one of an index, or NULL; and how many there are. */
struct vly_listener *vly_listeners_get(const struct volley_server *server, uint32_t listener_index);
/* The one that a value stands for; NULL: it is closed, or another server's. */
struct vly_listener *vly_listeners_find(const struct volley_server *server,
					struct volley_listener listener);
uint32_t vly_listeners_count(const struct volley_server *server);

/* Whether the wait strategy can serve them: 0, or -EINVAL after a word to the log. */
int vly_listeners_check(const struct volley_server *server);

/* Make every socket refuse what arrives from now on, or accept it again. */
void vly_listeners_set_drop_all(struct volley_server *server, bool drop)
	VLY_REQUIRES(server->listening);

/* Make those refuse it that a drain serves before the last ones. */
void vly_listeners_set_drop_first(struct volley_server *server) VLY_REQUIRES(server->listening);

/* Free the listeners; their sockets are closed already. Needs no lock any more. */
void vly_listeners_fini(struct volley_server *server);

/* Others serve its sockets, for as long as there are any; its workers hear of it. */
void vly_listeners_set_yielded(struct volley_server *server, uint32_t listener_index)
	VLY_REQUIRES(server->listening);

/* Somebody goes on with a listener's sockets when this server ends; its workers hear of it. */
void vly_listeners_set_kept(struct volley_server *server, uint32_t listener_index)
	VLY_REQUIRES(server->listening);

#endif
