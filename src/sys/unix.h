/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_UNIX_H
#define VLY_SYS_UNIX_H

/* Packets with descriptors over a connected AF_UNIX socket of type SOCK_SEQPACKET (SCM_RIGHTS). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most descriptors in one packet; the kernel takes 253. */
enum { VLY_UNIX_N_FDS = 64 };

/* Whether `fd` is such a socket, and its peer is of our user or root. 0 or -errno. */
int vly_unix_check(int fd);

/* Send one packet. Never sleeps (-EAGAIN), never raises SIGPIPE. 0 or -errno. */
int vly_unix_send(int fd, const void *data, size_t n_bytes, const int *fds, uint32_t n_fds);

/*
 * Take one packet of at most n_bytes and VLY_UNIX_N_FDS descriptors, which are close-on-exec and
 * the caller's. Returns its length; 0 when the peer is gone; -EAGAIN; -EMSGSIZE for one that is
 * longer or has more descriptors, -EMFILE when we could have no more: none of them is left open.
 */
int vly_unix_recv(int fd, void *data, size_t n_bytes, int *ret_fds, uint32_t *ret_n_fds);

/* A descriptor of our own, close-on-exec, for a socket that its owner may close; or -errno. */
int vly_unix_keep(int fd);

/* End a conversation: the other end hears of it, also when somebody has a copy of ours. */
void vly_unix_end(int fd);

#endif
