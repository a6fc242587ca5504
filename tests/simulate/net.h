/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_NET_H
#define TESTS_SIMULATE_NET_H

/*
 * The network: addresses of the host, clients elsewhere, and what happens to datagrams between
 * them. UDP sockets (udp.c) are the host's ends, clients are the oracle's.
 */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

#include "world.h"

/* One datagram to many, as the host's sockets see it. */
struct copies {
	uint16_t n_queued;
	uint16_t n_dropped;
	uint16_t n_taken;
};

/* A datagram, or several of one size that GRO or GSO keeps together. */
struct packet {
	struct packet *next;
	struct moment arrival;
	struct volley_addr from;
	struct volley_addr to;
	uint32_t ifindex;
	struct in_addr specific; /* what a reply leaves from, in IPv4: known when it arrives */
	uint32_t len;
	uint32_t segment_bytes; /* bytes of each but the last; 0: it is one */
	uint32_t truesize;
	uint8_t ttl;
	uint8_t tos;
	int error;             /* it is only what ICMP says of it */
	bool is_whole;         /* nobody on the way cuts it up */
	bool is_double;        /* of the network's making */
	bool loops;            /* sent to many, and the host is one of them */
	struct copies *copies; /* what became of those of one that was sent to many, or NULL */
	uint64_t at_ns;
	uint8_t data[];
};

struct packet *packet_new(const struct volley_addr *from, const struct volley_addr *to,
			  const void *data, uint32_t len);
struct packet *packet_copy(const struct packet *packet, uint32_t n_more);
void packet_free(struct packet *packet);

/* Of a million datagrams, so many; and how long they take. */
struct weather {
	uint32_t lost;
	uint32_t doubled;
	uint32_t refused; /* ICMP: nobody is there */
	uint32_t merged;  /* by the card, where the socket takes that */
	uint64_t least_ns;
	uint64_t most_ns;
};
extern struct weather net_weather;

/* Somebody elsewhere. */
struct client {
	struct volley_addr addr;
	struct client *next;
	void (*receive)(struct client *client, const struct packet *packet);
	/* The host's kernel said that nobody listens; or of the network, that it did not arrive. */
	void (*refuse)(struct client *client, const struct packet *packet);
};
void net_add_client(struct client *client);
void net_remove_client(struct client *client);

/* The host's addresses: false behind the last. Each is there or not. */
bool net_get_own(uint32_t i, struct volley_addr *ret_addr);
enum { NET_N_LINK_ADDRS = 4 }; /* that may go: 10.0.1.1, 10.0.2.1, fd00:1::1, fd00:2::1 */
void net_set_own(uint32_t i, bool is_there);
uint64_t net_get_changed_ns(void); /* the last time that one came or went; 0: never */

/* Whether it is an address of the host, and of which interface: 0: none. */
uint32_t net_find_interface(const struct volley_addr *addr);
/* The link that leads there, by the address alone; 0: none. */
uint32_t net_get_link(const struct volley_addr *addr);
enum cast { CAST_NONE, CAST_BROADCAST, CAST_GROUP };
enum cast net_get_cast(const struct volley_addr *addr);
/* The address that the host has on a link, or else on another one; false: none. */
bool net_get_source(uint32_t ifindex, int family, struct volley_addr *ret_addr);
/* Where datagrams to there leave from: false: nowhere. */
bool net_route(const struct volley_addr *to, struct volley_addr *ret_from);
/* IPv4 by an IPv6 socket is IPv4 on the way. */
struct volley_addr net_unmap(const struct volley_addr *addr);
uint32_t net_get_mtu(const struct volley_addr *to);
/* What ICMP has told of the way there, which is no more than that. */
uint32_t net_get_path_mtu(const struct volley_addr *to);

/* On its way, taken over. */
void net_send(struct packet *packet);
void net_begin(void);
void net_end(void);

/* What sockets do with what arrives; false: none is there. */
bool udp_deliver(struct packet *packet);
/* Each that it is for gets a copy. */
void udp_deliver_all(struct packet *packet);
/* An ICMP error for a datagram that the host sent. */
void udp_report(const struct packet *packet, int error);

#endif
