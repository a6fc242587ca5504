/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_CMSG_H
#define VLY_SYS_CMSG_H

/* Control messages: what the kernel says about a datagram, and where a reply shall leave from. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <volley/addr.h>

/* What to ask the kernel for, per socket; the bits also tell what vly_cmsg_parse() found. */
enum vly_cmsg_bit {
	VLY_CMSG_LOCAL = 1, /* destination address and interface */
	VLY_CMSG_TTL = 2,
	VLY_CMSG_TOS = 4,
	VLY_CMSG_TIMESTAMP = 8,
	VLY_CMSG_SEGMENT = 16, /* UDP_GRO segment size */
	VLY_CMSG_OTHER = 32,   /* parse only: something of IP's that we do not know */
	VLY_CMSG_ORIGIN = 64,  /* destination address and port, before they were diverted */
};

/* To how many a datagram was sent, if not to one. */
enum vly_cmsg_cast {
	VLY_CMSG_MULTICAST = 2, /* a group */
	VLY_CMSG_BROADCAST = 4, /* everybody on a link */
};

struct vly_cmsg_info {
	/*
	 * Address to reply from (ipi_spec_dst, or the IPv6 destination, v4-mapped where it was),
	 * port 0. len 0: the kernel shall choose (no control message, or an IPv6 multicast).
	 */
	struct volley_addr local;
	uint32_t reply_ifindex; /* by which a reply leaves; 0: as the routing table says */
	uint32_t found;         /* enum vly_cmsg_bit */
	int64_t timestamp_ns;
	uint32_t ifindex; /* by which it came */
	int16_t ttl;
	int16_t tos;
	uint32_t segment_bytes;
	uint32_t cast; /* enum vly_cmsg_cast; 0: one, or nobody knows */
	/* Where it was sent to; only set where `cast` is, port 0, or VLY_CMSG_ORIGIN was found. */
	struct volley_addr destination;
};

/* Switch on what `want` asks for; AF_INET6 sockets get the IPv4 options too, for mapped peers. */
int vly_cmsg_enable(int fd, int family, uint32_t want);

/* For sockets that come from elsewhere: switch off, and what is on in any form. */
int vly_cmsg_disable(int fd, int family, uint32_t bits);
uint32_t vly_cmsg_get_enabled(int fd, int family);

/* Bytes of control room that `want` needs per datagram, a multiple of 8; 0 for 0. */
uint32_t vly_cmsg_get_room(int family, uint32_t want);

/*
 * What a socket of somebody else's gets beyond that, for options that are on there and that nobody
 * here knows. The kernel writes what belongs to the socket first (224 bytes with everything on,
 * Linux 6.18), then a segment size, then what belongs to IP, of which what we ask for comes first
 * and what a sender may make long (extension headers) last. So with twice the bytes of the first
 * kind, whatever does not fit is nothing that we asked for. tests/kernel/kernel_cmsg.c pins it.
 */
enum { VLY_CMSG_SPARE_BYTES = 448 };

/*
 * Whether what was found is all of `want` although something did not fit (MSG_CTRUNC). A segment
 * size that is not there was not cut off when something is there that comes behind it.
 */
bool vly_cmsg_is_complete(const struct vly_cmsg_info *info, uint32_t want);

/* Read the control messages of a received msghdr. Never trusts a length it has not checked. */
void vly_cmsg_parse(const struct msghdr *msg, struct vly_cmsg_info *ret_info);

/*
 * Write the control message that makes a reply leave from `local`, by interface ifindex (0: as the
 * routing table says; link-local addresses need one). Returns the bytes used of the n_room bytes at
 * `control`, of which there are at least VLY_CMSG_SOURCE_BYTES; 0 when local->len is 0.
 */
#define VLY_CMSG_SOURCE_BYTES 40
uint32_t vly_cmsg_put_source(void *control, uint32_t n_room, const struct volley_addr *local,
			     uint32_t ifindex);

/*
 * What an IP header shall say, in one word; 0: as the socket has it. The TOS byte or traffic class
 * below, the TTL or hop limit above it, each with a bit that says that it counts; and a bit for the
 * source, which is too long for it and stands elsewhere.
 */
#define VLY_CMSG_HEADER_TOS       (1u << 16)
#define VLY_CMSG_HEADER_TTL       (1u << 17)
#define VLY_CMSG_HEADER_LOCAL     (1u << 18)
#define VLY_CMSG_HEADER_TTL_SHIFT 8

/* Write the control messages for TOS and TTL, of the peer's family also where IPv6 maps it. */
#define VLY_CMSG_HEADER_BYTES 48
uint32_t vly_cmsg_put_header(void *control, uint32_t n_room, const struct volley_addr *peer,
			     uint32_t header);

#endif
