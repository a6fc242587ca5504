/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_HANDOVER_WIRE_H
#define VLY_SERVER_HANDOVER_WIRE_H

/* What the two processes of a hand-over say to each other, for export.c and import.c. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <volley/config.h>
#include <volley/stats.h>

#include "sys/unix.h"

enum vly_handover_type {
	VLY_HANDOVER_HELLO = 1, /* both, first: a lease to watch; and its process, if that can be */
	VLY_HANDOVER_OFFER,     /* old: n sockets follow */
	VLY_HANDOVER_OTHERS,    /* old: n leases, as descriptors; a byte each: it may read */
	VLY_HANDOVER_FURTHER,   /* old: n descriptors of the program's */
	VLY_HANDOVER_SOCKETS,  /* old: n of them, as descriptors; a byte each: enum vly_offer_bit */
	VLY_HANDOVER_READY,    /* new: of the next n sockets, which it reads: a byte each */
	VLY_HANDOVER_DROPS,    /* old: it reads no more; drop counts of the next n sockets */
	VLY_HANDOVER_COUNTERS, /* old: behind those of all n, its counters */
	VLY_HANDOVER_TAKEN,    /* new: it has them, and serves whatever comes */
	VLY_HANDOVER_GONE,     /* old: its copies are closed */
	VLY_HANDOVER_RESUMED,  /* old: it reads again; n is 1 when it is about to end */
	VLY_HANDOVER_QUIT,     /* new: it has heard that the old one serves on, and ends */
	VLY_HANDOVER_BOOKS,    /* new, at its end: its counters */
};

enum vly_offer_bit {
	VLY_OFFER_KEPT = 1,   /* somebody keeps it for good */
	VLY_OFFER_OTHERS = 2, /* others than the old one may have it */
};

/* What there is for each socket comes for so many at a time. */
enum { VLY_HANDOVER_N_BATCH = 1024 };

struct vly_handover_head {
	uint32_t magic; /* the version too */
	uint32_t type;
	uint32_t n;
	uint32_t n_bytes; /* behind this head */
};

/*
 * Counters are only carried between processes whose struct means the same: counts were appended at
 * its end at most, and no reason in the middle.
 */
struct vly_handover_counters {
	uint32_t n_rx_drops;
	uint32_t n_tx_drops;
	struct volley_stats stats; /* its size field says how much of it is meant */
	uint64_t n_missing;        /* processes that are in nobody's books */
};

struct vly_handover {
	int fd;
	uint64_t end_ns;
	const _Atomic bool *abort; /* ends a wait when it is set; NULL: nothing does */
	int peer_pidfd;            /* the other process, whose death ends a wait too; -1: unknown */
	/* The packet that came last. */
	struct vly_handover_head head;
	union {
		struct vly_handover_counters counters;
		uint32_t drops[VLY_HANDOVER_N_BATCH];
		uint8_t taken[VLY_HANDOVER_N_BATCH]; /* what comes with a byte each */
		uint8_t body[VLY_HANDOVER_N_BATCH * sizeof(uint32_t)];
	};
	/* Its descriptors. They are the conversation's until somebody takes them: n_fds = 0. */
	int fds[VLY_UNIX_N_FDS];
	uint32_t n_fds;
};

/* A conversation on a socket of the caller's; NULL for lack of memory. */
struct vly_handover *vly_wire_new(const struct volley_allocator *allocator, int fd,
				  uint32_t timeout_us);

/* Closes descriptors that nobody took; NULL is fine. */
void vly_wire_free(struct vly_handover *handover);

/* Give the next step so long. */
void vly_wire_set_timeout(struct vly_handover *handover, uint32_t timeout_us);

/* Whether the server was told to drain or close, which comes first. */
bool vly_wire_is_aborted(const struct vly_handover *handover);

/* Send a packet: 0, -ETIMEDOUT, -EPIPE, -ECANCELED by abort. */
int vly_wire_send(struct vly_handover *handover, enum vly_handover_type type, uint32_t n,
		  const void *body, uint32_t n_bytes);
/* The same with n descriptors, and nothing or a byte for each. */
int vly_wire_send_fds(struct vly_handover *handover, enum vly_handover_type type, const int *fds,
		      const uint8_t *bytes, uint32_t n);
/* The first word, with a lease for the other side to watch. */
int vly_wire_send_self(struct vly_handover *handover, int watch_fd);

/* What another process has counted, where its counters mean what ours do; else -EPROTO. */
int vly_wire_read_stats(const struct vly_handover_counters *counters,
			struct volley_stats *ret_stats);

/* Close what came last and nobody took. */
void vly_wire_close_fds(struct vly_handover *handover);

/* The packet that is there, whatever it is. Never sleeps: -EAGAIN; -EPIPE; -EPROTO. */
int vly_wire_take(struct vly_handover *handover);

/*
 * A word to the other side does not arrive, for it went: what it had said last before that. The
 * head, and the counters if it sent its books, are of that then. Returns `error`.
 */
int vly_wire_take_last(struct vly_handover *handover, int error);

/*
 * Wait for a packet of this type. 0; -ETIMEDOUT; -EPIPE when the peer is gone, or says that it
 * goes; -ECANCELED when it serves on, or by abort; -EPROTO for another packet, or one with
 * descriptors that do not belong there, and then they are closed. After a failure head.type is what
 * came instead, 0 when it was nothing.
 */
int vly_wire_recv(struct vly_handover *handover, enum vly_handover_type type);
/* The same for the other side's first word: returns its lease, the caller's. */
int vly_wire_recv_peer(struct vly_handover *handover, int *ret_watch_fd);
/* The other process has died. False where that cannot be known. */
bool vly_wire_is_peer_dead(const struct vly_handover *handover);

#endif
