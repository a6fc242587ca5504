/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_LISTENERS_H
#define VLY_SERVER_LISTENERS_H

/* A server's set of listeners, whether it runs or not. Whoever calls holds `listening`. */

#include <stdbool.h>

#include <volley/server.h>

/*
 * Take `listening` for a change, and say whether there can be one. 0, and then the caller gives
 * the lock back; -EDEADLK for a worker; -ESHUTDOWN of a closed server; -EBUSY in a hand-over.
 */
int vly_listeners_lock(struct volley_server *server);
/* The same for an end of the server, which ends a hand-over as well, and always succeeds. */
void vly_listeners_lock_to_end(struct volley_server *server);
void vly_listeners_unlock(struct volley_server *server);

/*
 * A listener with the lowest free index, its config read, and not in the set yet: free it with
 * vly_mem_free(). 0; -EINVAL for the config or one too many to wait for; -ENOSPC; -ENOMEM.
 */
int vly_listeners_new(struct volley_server *server, const struct volley_listen_config *config,
		      struct volley_listener **ret_listener);

/*
 * Put a listener into the set and give worker i the socket fds[i] (-1: none), which from then on
 * is the server's. 0; or -ENOMEM, and then nothing has changed.
 */
int vly_listeners_add(struct volley_server *server, struct volley_listener *listener,
		      const int *fds);

/* Take a listener out of the set again. Its sockets stay open and the caller's. */
void vly_listeners_remove(struct volley_server *server, struct volley_listener *listener);

/* Forget the listener of an index; no worker knows it any more. */
void vly_listeners_forget(struct volley_server *server, uint32_t i);

/* How many listeners there are. */
uint32_t vly_listeners_count(const struct volley_server *server);

/* Make every socket refuse what arrives from now on, or accept it again. */
void vly_listeners_set_drop_all(struct volley_server *server, bool drop);

/*
 * Of a server whose workers have left: count what the sockets still hold, and close them. The
 * listeners stay, for the statistics.
 */
void vly_listeners_close(struct volley_server *server);

/* Free the listeners; their sockets are closed already. Needs no lock any more. */
void vly_listeners_fini(struct volley_server *server);

#endif
