/* SPDX-License-Identifier: MIT */
#ifndef VLY_IO_MESSAGE_H
#define VLY_IO_MESSAGE_H

/* What is sent, and by what: the words that the layer above and the backends have in common. */

#include <stdint.h>

#include <volley/addr.h>

#include "sys/cmsg.h"

/*
 * One datagram to send. Entries of one message are chained: `next` is the entry after this one in
 * the same segmented message, and the head's n_segments says how many there are (1: a plain
 * datagram).
 */
struct vly_tx {
	const uint8_t *data;
	const struct volley_addr *peer;
	const struct volley_addr *local; /* with VLY_CMSG_HEADER_LOCAL: to leave from */
	uint32_t len;
	uint32_t ifindex; /* with the same: to leave by, or 0: as the routing table says */
	uint32_t header;  /* VLY_CMSG_HEADER_*: what its IP header shall say */
	uint32_t sock_index;
	uint16_t next;
	uint16_t n_segments;
};

/* What a backend is told about one socket. */
struct vly_io_sock {
	int fd;
	int family;
	uint32_t want;        /* enum vly_cmsg_bit */
	uint32_t slot_bytes;  /* more than the slots had at first: for coalesced messages; or 0 */
	uint32_t spare_bytes; /* control room beyond it, for what others may switch on */
};

#endif
