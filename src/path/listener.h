/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_LISTENER_H
#define VLY_PATH_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>
#include <volley/config.h>

#include "io/coalesce.h"

struct sock_filter;
struct vly_sock;
struct vly_socket_filter;

/*
 * A listener: an address, and all sockets that are bound to it; vly_listener_get_first() says which
 * worker has which. Written before any worker has one of them, then read-only, but for the last
 * fields.
 */
struct vly_listener {
	struct volley_server *server;
	struct volley_listen_config config;
	struct volley_addr addr; /* as bound */
	uint64_t id;             /* struct volley_listener's: see VLY_LISTENER_INDEX() */
	uint32_t index;
	uint32_t want; /* enum vly_cmsg_bit: the control messages to ask for */
	uint32_t room; /* the same: what there is room for; more, where a socket had it on before */
	uint32_t slot_bytes; /* what its sockets may hold in one message; 0: what the config says */
	struct sock_filter *steering; /* n_steering: chooses among its sockets; none: the hash */
	uint16_t n_steering;
	uint32_t device_index; /* the one interface that it hears; 0: all, or its address says */
	bool wildcard;
	bool is_cast;                      /* bound to a group's or a broadcast address */
	bool by_arrival;                   /* replies leave by the interface of the request */
	bool has_locals;                   /* control messages say where replies leave from */
	bool adopted;                      /* somebody else opened its sockets */
	bool coalesces_in;                 /* UDP_GRO is on */
	uint32_t rcvbuf_bytes;             /* what the kernel gave, as set_buffer() counts */
	struct vly_coalesce_limits limits; /* what UDP_SEGMENT starts with */

	/*
	 * Written with `listening`. A worker reads the flags in errands, which are sent after they
	 * were written.
	 */
	bool others;   /* of a hand-over; server/handover/sharers.c knows when they are gone */
	bool yielded;  /* they serve it, and we do not: the rest of the queues is theirs */
	bool lent;     /* it was others' already when a hand-over brought it */
	bool foreign;  /* its options are not yet what the config asks for, because of them */
	bool kept;     /* somebody holds its sockets for good; the rest of their queues is his */
	bool exported; /* a hand-over gives it away */
	int *fds;      /* n_fds; the workers close them */
	int one_fd;    /* is `fds` where there is no more than one */
	struct vly_socket_filter *filters; /* of adopted ones: their own, while ours stand there */
	uint32_t n_filters;
	bool told_filter; /* the log knows that some stay */
	bool hook_failed; /* on_socket refused a socket, and the log knows */
	bool ends;        /* its sockets are about to go; with `grouping` */
	uint32_t n_fds;

	/*
	 * Its close, or a drain that serves others for longer: how long it may be served; 0: it
	 * stays. Workers read it whenever they like.
	 */
	_Atomic uint64_t drain_end_ns;

	struct vly_sock *gone; /* sockets that are no more, for the books; with the shared lock */
};

/*
 * Worker i of N serves sockets i, i + N and so on; where one socket is all that there is, each
 * listener begins with another worker: the one that serves socket k, and a worker's first socket,
 * which may be beyond the last.
 */
static inline uint32_t vly_listener_get_worker(const struct vly_listener *listener, uint32_t k,
					       uint32_t n_workers)
{
	bool is_one = listener->config.flags & VOLLEY_LISTEN_ONE_SOCKET;

	return (k + (is_one ? listener->index : 0)) % n_workers;
}

static inline uint32_t vly_listener_get_first(const struct vly_listener *listener,
					      uint32_t worker_index, uint32_t n_workers)
{
	return (worker_index + n_workers - vly_listener_get_worker(listener, 0, n_workers)) %
	       n_workers;
}

/*
 * A listener's id is a serial number, which no other listener of the process has or had, above its
 * index in the server's and the workers' tables.
 */
enum { VLY_LISTENER_INDEX_BITS = 24 };
#define VLY_LISTENER_INDEX(id) ((uint32_t)(id) & ((UINT32_C(1) << VLY_LISTENER_INDEX_BITS) - 1))

/* Whether a drain serves it as before until all others are served. */
static inline bool vly_listener_is_last(const struct vly_listener *listener)
{
	return listener->config.flags & VOLLEY_LISTEN_DRAIN_LAST;
}

/* Whether somebody else goes on with its sockets, so that an end here only ends our reading. */
static inline bool vly_listener_is_kept(const struct vly_listener *listener)
{
	return (listener->config.flags & VOLLEY_LISTEN_KEEP_SOCKETS) || listener->kept ||
	       listener->yielded;
}

/*
 * Whether somebody else may hold its sockets. Then they are not ours to break: no filter, no
 * leaving of the kernel's lookup, no option that costs him a datagram; and what they hold in the
 * end is not counted as lost. Every call that could make another process deaf asks this first. The
 * options of a listener are set when nobody shares it any more (vly_sharers_adopt()).
 */
static inline bool vly_listener_is_shared(const struct vly_listener *listener)
{
	return vly_listener_is_kept(listener) || listener->others;
}

#endif
