/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_INSIDE_H
#define VLY_SERVER_INSIDE_H

/*
 * Who calls. From inside the server one must not wait for its workers, which would never end; and
 * from a forked child one must not call at all.
 */

#include <stdbool.h>

#include <volley/server.h>

/* Whether the calling thread is one of the server's workers or handlers. */
bool vly_inside_is_worker(const struct volley_server *server);

/* The same, or inside the hooks of volley_server_run(). */
bool vly_inside_is_any(const struct volley_server *server);

/* Whether this is the process that made the server; for rare calls. */
bool vly_inside_is_home(const struct volley_server *server);

/* 0; or -ESRCH in another process, after a sentence to the log that names the call. */
int vly_inside_check_home(const struct volley_server *server, const char *what);

#endif
