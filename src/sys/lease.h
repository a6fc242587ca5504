/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_LEASE_H
#define VLY_SYS_LEASE_H

/*
 * A pipe that nobody writes to. Who holds something has its writing end, and who wants to know
 * whether anybody still holds it has its reading end. The kernel says when the last one of either
 * is closed, by whatever: on purpose, by exec, or by death. A forked child has a copy, as it has of
 * what is held; and so has every process that it was sent to.
 */

#include <stdbool.h>

/* Returns the end to hold, close-on-exec as the other one; -EMFILE, -ENFILE. */
int vly_lease_open(int *ret_watch_fd);

/* Whether a descriptor of somebody else's is an end to hold, or one to watch. */
bool vly_lease_is_hold(int fd);
bool vly_lease_is_watch(int fd);

/* Of an end to watch: nobody holds it any more. Of one to hold: nobody watches it. */
bool vly_lease_is_over(int fd);

#endif
