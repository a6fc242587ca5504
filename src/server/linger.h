/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_LINGER_H
#define VLY_SERVER_LINGER_H

/* From a drain's request to its beginning: the hook on_drain, and config.linger_us. */

#include "server/state.h"

/* Before a start. */
void vly_linger_clear(struct volley_server *server) VLY_REQUIRES(server->control);

/* Any thread: on_drain comes to every worker that runs, before what is sent it next; once. */
void vly_linger_post(struct volley_server *server);

/* A drain is asked for. Asking again, and once the workers end, changes nothing. */
void vly_linger_begin(struct volley_server *server) VLY_REQUIRES(server->control);

/*
 * Whether the drain is to begin now; else how long until then, in milliseconds as poll(2) has them
 * (-1: none is asked for), which event_fd may cut short; how late it begins.
 */
bool vly_linger_has_ended(const struct volley_server *server) VLY_REQUIRES(server->control);
int vly_linger_get_timeout_ms(const struct volley_server *server) VLY_REQUIRES(server->control);
uint64_t vly_linger_get_late_ns(const struct volley_server *server) VLY_REQUIRES(server->control);

#endif
