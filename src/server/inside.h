/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_INSIDE_H
#define VLY_SERVER_INSIDE_H

/* Who calls: from inside the server one must not wait for its workers, which would never end. */

#include <stdbool.h>

#include <volley/server.h>

/* Whether the calling thread is one of the server's workers or handlers. */
bool vly_inside_is_worker(const struct volley_server *server);

/* The same, or inside the hooks of volley_server_run(). */
bool vly_inside_is_any(const struct volley_server *server);

#endif
