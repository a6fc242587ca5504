/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_PIDFD_H
#define VLY_SYS_PIDFD_H

/*
 * A process as a descriptor (pidfd_open(2), Linux 5.3): whoever has it can ask whether that process
 * is dead, and no other can take its place, as with a number.
 */

#include <stdbool.h>

/* This process, close-on-exec, or -errno: -ENOSYS before Linux 5.3, what a filter says. */
int vly_pidfd_open(void);

/* Dead: it has closed all that it had, though its parent may not have asked for it yet. */
bool vly_pidfd_is_dead(int pidfd);

#endif
