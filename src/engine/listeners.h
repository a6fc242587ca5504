/* SPDX-License-Identifier: MIT */
#ifndef VLY_ENGINE_LISTENERS_H
#define VLY_ENGINE_LISTENERS_H

/* A server's set of listeners. For the control thread, with the server's `control` held. */

#include <stdbool.h>

#include <volley/server.h>

/* Make every socket refuse what arrives from now on, or accept it again. */
void vly_listeners_set_drop_all(struct volley_server *server, bool drop);

/*
 * Of a server whose workers have left: count what the sockets still hold, and close them. The
 * listeners stay, for the statistics.
 */
void vly_listeners_close(struct volley_server *server);

/* Free the listeners; their sockets are closed already. */
void vly_listeners_fini(struct volley_server *server);

#endif
