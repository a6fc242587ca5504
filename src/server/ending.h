/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_ENDING_H
#define VLY_SERVER_ENDING_H

/* How workers are told to end: at once, or by a drain. */

#include "server/state.h"

/* Before a start. */
void vly_ending_clear(struct volley_server *server)
	VLY_REQUIRES(server->control, server->listening);

/* Signal handlers too: raise the command (never lowers it) and cancel the workers' waits. */
void vly_ending_request(struct volley_server *server, enum vly_command command);

/*
 * Of a drain that was asked for, what is to be done now, up to the command; nothing where none is,
 * or the workers end already. Then how long until there is more, in milliseconds as poll(2) has
 * them (-1: nothing comes by the clock), which event_fd may cut short.
 */
void vly_ending_process(struct volley_server *server) VLY_REQUIRES(server->control);
int vly_ending_get_timeout_ms(const struct volley_server *server) VLY_REQUIRES(server->control);

/* Do all that, until the workers end; where the loop is the caller's, serve meanwhile. */
void vly_ending_wait(struct volley_server *server) VLY_REQUIRES(server->control);

#endif
