/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_COMMON_PLACE_H
#define EXAMPLES_COMMON_PLACE_H

/*
 * A path at which one process listens, one after the other: a socket that is made beside the path
 * and then takes its place. Functions return 0 or -errno. A place belongs to one thread at a time.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>

/* Which socket a name leads to. Inode 0: none. */
struct place_id {
	dev_t device;
	ino_t inode;
	struct timespec changed; /* an inode's number is used again */
};

struct place {
	const char *path;
	int fd;                                              /* listens, or -1 */
	char own[sizeof((struct sockaddr_un *)0)->sun_path]; /* its name until it has the path */
	struct place_id id;                                  /* what `fd` is */
	struct place_id before; /* whom place_connect() found: what we may take the path from */
};

/*
 * Listen beside the path, at PATH.PID. -ENOTSOCK when at the path is something else than a socket,
 * which is nobody's to replace. Names that dead processes left there are removed.
 */
int place_open(struct place *place, const char *path);

/* Let go of the path, if it is ours and `replaced` is false, and close. May come twice. */
void place_close(struct place *place, bool replaced);

/*
 * A connection to the process that listens at the path. -ENOENT or -ECONNREFUSED when there is
 * none, -EAGAIN while too many others wait there. Does not block.
 */
int place_connect(struct place *place, int *ret_fd);

/*
 * Have the path lead to us. Nothing happens when it does. A path that is absent is taken, and so is
 * that of place_connect()'s process and that of one that is dead. Somebody else's is -EADDRINUSE,
 * and what is no socket is -ENOTSOCK.
 */
int place_take(struct place *place);

/* Whether the path leads to us. */
bool place_is_ours(const struct place *place);

#endif
