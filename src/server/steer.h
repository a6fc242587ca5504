/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_STEER_H
#define VLY_SERVER_STEER_H

/* The program that chooses among a listener's sockets. 0 or -errno, after a word to the log. */

#include "path/listener.h"

/* The instructions of a program that the kernel takes (BPF_MAXINSNS). */
enum { VLY_STEER_MAX_PROGRAM = 4096 };

/*
 * Write the program that the config asks for, and have the kernel look at it. Nothing is changed of
 * any socket. Who frees the listener frees the program.
 */
int vly_steer_init(struct vly_listener *listener);

/*
 * Set it on the first socket of a group that n sockets will be in, before others are bound: where
 * the first is bound without SO_REUSEPORT, before that; else behind it, for a socket that is a
 * group already is not bound beside another.
 */
int vly_steer_begin(const struct vly_listener *listener, int fd, uint32_t n, bool is_bound);

/* Set it on sockets that have been a group for others, or put an end to theirs. */
int vly_steer_configure(struct vly_listener *listener);

/* Take it off, before its sockets leave the kernel's lookup. Nothing for those of others, too. */
void vly_steer_end(const struct vly_listener *listener);

#endif
