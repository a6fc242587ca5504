/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_ERRQUEUE_H
#define VLY_SYS_ERRQUEUE_H

/*
 * A socket's error queue (IP_RECVERR, IPV6_RECVERR): what the network had to say about datagrams
 * that were sent long ago.
 */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

struct vly_errqueue_entry {
	struct volley_addr peer; /* whom the datagram was for */
	int error;               /* positive errno */
	bool icmp; /* false: this machine's own refusal, which the send call also returned */
};

/* Turn the queue on. AF_INET6 sockets get it for mapped IPv4 peers too. */
int vly_errqueue_enable(int fd, int family);
int vly_errqueue_disable(int fd, int family);

/* Take and forget what is there, at most some thousands. Never sleeps. */
void vly_errqueue_clear(int fd);

/* Take one entry. 1; 0 when there is none; -errno. Never sleeps. */
int vly_errqueue_pop(int fd, struct vly_errqueue_entry *ret_entry);

#endif
