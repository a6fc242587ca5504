/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_SERVER_H
#define VLY_SERVER_SERVER_H

/* The transitions of a server's life, for run.c, which does the parts one by one. */

#include "server/state.h"

/* With `control`. */
int vly_server_start(struct volley_server *server) VLY_REQUIRES(server->control);
void vly_server_join(struct volley_server *server) VLY_REQUIRES(server->control);
bool vly_server_is_late(const struct volley_server *server) VLY_REQUIRES(server->control);
/* Signal handlers too: ask the thread inside run to leave. False: there is none. */
bool vly_server_request_run(struct volley_server *server, enum vly_run what);

#endif
