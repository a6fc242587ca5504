/* SPDX-License-Identifier: MIT */
#ifndef VLY_IO_MSGS_H
#define VLY_IO_MSGS_H

/*
 * What the two socket backends share: the mmsghdr arrays. They differ in the calls that take them.
 */

#include <sys/socket.h>

#include "io/io_ops.h"

struct vly_msgs_calls {
	/* True: one system call each. False: one for each message, and one more for an error. */
	bool batched;
	/* Never sleep; count or -errno. */
	int (*recv)(int fd, struct mmsghdr *msgs, unsigned int n);
	int (*send)(int fd, struct mmsghdr *msgs, unsigned int n);
	/* Sleeps for the first message; a cancellation point. */
	int (*recv_wait)(int fd, struct mmsghdr *msgs, unsigned int n);
};

int vly_msgs_open(struct vly_slots *slots, const struct vly_msgs_calls *calls,
		  struct vly_io **ret_io);
int vly_msgs_attach(struct vly_io *io, uint32_t sock_index, const struct vly_io_sock *sock);
void vly_msgs_detach(struct vly_io *io, uint32_t sock_index);
int vly_msgs_recv(struct vly_io *io, uint32_t sock_index, uint32_t n, bool wait);
int vly_msgs_send(struct vly_io *io, uint32_t sock_index, const struct vly_tx *tx,
		  const uint16_t *heads, uint32_t n);
void vly_msgs_close(struct vly_io *io);

#endif
