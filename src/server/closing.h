/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_CLOSING_H
#define VLY_SERVER_CLOSING_H

#include "server/state.h"

/*
 * Of a server whose workers have left: count what the sockets still hold, and close them. The
 * listeners stay, for the statistics.
 */
void vly_closing_close_all(struct volley_server *server) VLY_REQUIRES(server->listening);

/* In a forked child: close its copies of the descriptors, and do nothing else to the sockets. */
void vly_closing_leave(struct volley_server *server);

#endif
