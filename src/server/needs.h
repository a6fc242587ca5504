/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_NEEDS_H
#define VLY_SERVER_NEEDS_H

/*
 * What this system refuses, and what becomes of that: a server that works without it, with one
 * warning that names it, or none, with an error that names it and the way out.
 */

#include <stdbool.h>

struct volley_server;

enum vly_need {
	VLY_NEED_BATCH = 0, /* recvmmsg and sendmmsg */
	VLY_NEED_MEMINFO,
	VLY_NEED_GSO,
	VLY_NEED_GRO,
	VLY_NEED_V6ONLY,
	VLY_NEED_MTU,
	VLY_NEED_RCVBUF,
	VLY_NEED_SNDBUF,
	VLY_NEED_RECVERR,
	VLY_NEED_LOCAL, /* the ones that cmsg.h has a bit for */
	VLY_NEED_TTL,
	VLY_NEED_TOS,
	VLY_NEED_TIMESTAMP,
	VLY_NEED_UNSET, /* an option that somebody else had set, to be 0 */
	VLY_NEED_SHARE,
	VLY_NEED_LATE_SHARE,
	VLY_NEED_NAME,
	VLY_NEED_SETTLE,
	VLY_NEED_GROUPS,
	VLY_NEED_BROADCAST,
	VLY_NEED_LOOP,
	VLY_NEED_JOIN,
	VLY_NEED_STEER,
	VLY_NEED_DEVICE,
	VLY_NEED_TRANSPARENT,
	VLY_NEED_N,
};

/* Try all that needs no address, and choose the backend. 0, or -errno after a word to the log. */
int vly_needs_run(struct volley_server *server);

/*
 * What `error`, the result of asking for something, means: 0 when it was no error; 0 when the
 * server is well without, after a warning (one a server); else the error, after a word to the log.
 * `is_asked`: the user wants it by name, so there is no going on without.
 */
int vly_needs_check(struct volley_server *server, enum vly_need need, int error, bool is_asked);

/* For the log: why an interface was not found (vly_socket_find_interface()). */
const char *vly_needs_get_interface_text(int error);

#endif
