/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_UDP_INNER_H
#define TESTS_SIMULATE_UDP_INNER_H

/* What the parts of a UDP socket know of each other. */

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"
#include "net.h"

void *__real_malloc(size_t n);
void __real_free(void *memory);

enum { N_OPTIONS = 48, N_GROUPS = 20, MAX_SEGMENTS = 64, REPORT_BYTES = 768 };

struct option {
	int level, name, value;
};

struct membership {
	struct volley_addr group;
	struct volley_addr source; /* len 0: all */
	uint32_t ifindex;
};

struct report {
	struct report *next;
	struct volley_addr peer;
	int error;
};

struct udp {
	struct file file;
	int family;
	bool is_bound, is_connected, is_shut;
	struct volley_addr local;
	struct volley_addr peer;
	uint64_t cookie;
	struct option options[N_OPTIONS];
	uint32_t n_options;
	struct membership groups[N_GROUPS];
	uint32_t n_groups;
	struct sock_filter *filter;
	uint16_t n_filter;
	bool is_in_group; /* of SO_REUSEPORT sockets, be it alone */
	struct sock_filter *steering;
	uint16_t n_steering;
	struct packet *first, *before_last, *last; /* before_last: where they are several */
	uint32_t rmem, rcvbuf, sndbuf, wmem;
	uint32_t drops;
	struct report *reports, *last_report;
	int error; /* SO_ERROR */
	struct process *process;
	struct udp *next; /* of its port */
};

static inline struct udp *udp_of(struct file *file)
{
	return (struct udp *)(void *)file;
}

/* udp.c: the sockets of a port, each by its `next`. */
struct udp *udp_get_first(uint16_t port);
bool udp_has_room(const struct udp *udp);
/* The first packet of the queue is gone. */
void udp_take_first(struct udp *udp);
int udp_bind_to(struct udp *udp, struct volley_addr *addr);
struct volley_addr udp_read_addr(const struct sockaddr *from, socklen_t len);

/* udp_options.c */
int udp_get(const struct udp *udp, int level, int name);
/* What its filter says of a datagram. */
bool udp_filter_passes(const struct udp *udp, const uint8_t *data, uint32_t len);

/* udp_steer.c: what chooses in a group of SO_REUSEPORT sockets, and who is chosen. */
bool udp_is_of_group(const struct udp *udp, const struct udp *one);
void udp_join(struct udp *udp);
int udp_attach_steering(struct udp *udp, const struct sock_fprog *program);
int udp_detach_steering(struct udp *udp);
struct udp *udp_choose(struct udp *const *group, uint32_t n, const struct packet *packet,
		       const struct volley_addr *from);

/* udp_groups.c; whether it has joined the group on that link, and wants it from there. */
bool udp_is_group_option(int level, int name);
int udp_set_group(struct udp *udp, int name, const void *value, socklen_t n);
bool udp_is_member(struct udp *udp, const struct packet *packet, bool *ret_is_wanted);

/* udp_arrive.c: how well a socket fits what comes from there to there; -1: not at all. */
int udp_rate(const struct udp *udp, const struct volley_addr *from, const struct volley_addr *to);

/* The datagrams in it. */
uint32_t udp_count(const struct packet *packet);

#endif
