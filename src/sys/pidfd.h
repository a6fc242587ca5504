/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_PIDFD_H
#define VLY_SYS_PIDFD_H

/*
 * A process as a descriptor (pidfd_open(2), Linux 5.3): whoever has it can ask whether that process
 * is dead, and no other can take its place, as with a number.
 */

#include <stdbool.h>
#include <stdint.h>

/* This process, close-on-exec, or -errno: -ENOSYS before Linux 5.3, what a filter says. */
int vly_pidfd_open(void);

/* Whether a descriptor of somebody else's is one of these: 0 or -errno. */
int vly_pidfd_check(int pidfd);

/* Dead: it has closed all that it had, though its parent may not have asked for it yet. */
bool vly_pidfd_is_dead(int pidfd);

/* Whether it is this process. Where /proc does not say, it is another. */
bool vly_pidfd_is_self(int pidfd);

#endif
