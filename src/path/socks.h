/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SOCKS_H
#define VLY_PATH_SOCKS_H

/*
 * A worker's sockets: any number of them, of any number of listeners. Lists name those that have
 * something to do, so that no pass looks at all of them.
 *
 * Only the worker changes its sockets. Others may look at the table, at descriptors and at the
 * kernel's drops, with the lock of path/shared.h; so the worker holds it when it changes those.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <volley/listener.h>
#include <volley/stats.h>

#include "base/compiler.h"
#include "data/indexes.h"
#include "path/drops.h"
#include "path/ledger.h"
#include "path/limits.h"
#include "path/queue.h"

struct volley_allocator;
struct vly_listener;

/* What a loop has of a socket: loop_event.c's two events, or loop_fd.c's entry in epoll. */
struct vly_watch {
	struct event *reader;
	struct event *writer;
	bool is_polled;              /* it is out of epoll, being busy: worker/polled.c's */
	bool told_refused;           /* these are polled.c's, too */
	uint32_t n_refused;          /* times in a row that it could not be put back */
	uint64_t put_ns;             /* when that is tried again */
	uint64_t look_ns;            /* when it is read again; 0: it does not wait for the clock */
	uint32_t events;             /* that epoll has of `fd`; 0: none */
	int fd;                      /* the socket may have lost its own when it is taken out */
	TAILQ_ENTRY(vly_sock) asked; /* while `events` has EPOLLOUT */
};

/*
 * What is not counted on the worker's thread: packets held (held.c) and what other threads handed
 * to it (remote.c). With the lock of struct vly_remote.
 */
struct vly_outside {
	uint64_t held_taken;
	uint64_t held_replied;
	uint64_t held_released;
	uint64_t held_expired;
	uint64_t held_abandoned;
	uint64_t held_refused;
	uint64_t held_now;
	uint64_t n_posted; /* all that were ever handed over */
	uint64_t n_requested;
	uint64_t n_dropped[VOLLEY_TX_N_DROPS]; /* sends that failed at once */
};

/*
 * Whether replies stand in line at a socket, and whether somebody who was told so waits for the end
 * of that. One word, so that whoever asks while the line ends either finds none, or is heard.
 */
enum vly_sock_line {
	VLY_SOCK_WAITS = 1 << 0,   /* some stand in line: in `backlogged` */
	VLY_SOCK_IS_ASKED = 1 << 1 /* alone: the line has ended, and on_writable is due */
};

struct vly_sock {
	/* Set once. Handlers read it for each packet, so what is written often lies elsewhere. */
	struct vly_socks *socks; /* where it stands */
	struct vly_listener *listener;
	struct vly_sock *next; /* of the same listener, in the table or gone */
	uint32_t index;        /* in the table, and for the backend */
	uint32_t serial;       /* no other socket of the worker has or had it */
	int fd;                /* -1 only while it is taken away */
	/* Handlers give its packets back unserved. */
	_Atomic bool is_given_up;
	/* The data path's. */
	VLY_ALIGNED bool reads; /* datagrams are taken from it */
	bool is_first;          /* of its listener's: only here arrives what is for all of them */
	bool told_no_access;
	bool is_kept;       /* somebody else goes on with it: vly_listener_is_kept() */
	bool is_shared;     /* somebody else may hold it: vly_listener_is_shared() */
	bool is_ready;      /* the loop found it readable, or did not look */
	bool is_by_errand;  /* `reads` is off until a start, but for errands and a drain */
	bool drains;        /* it is empty only when the kernel says so: vly_pipeline_run_sock() */
	bool in_ready;      /* it stands in the list of the ready */
	uint32_t n_taken;   /* messages received in the last pass */
	uint32_t n_empty;   /* receives that found nothing */
	uint32_t n_refused; /* those in a row that failed: vly_socks_is_refused() */
	int refusal;        /* the last one's error */
	bool told_refused;
	uint64_t rest_ns;   /* worker/rest.c: when it is read again; 0: it has no rest */
	uint32_t n_handled; /* packets of it that handlers have */

	struct vly_queue backlog;
	struct vly_limits limits;
	struct vly_drops drops;
	struct vly_account account;
	struct vly_outside outside;
	struct vly_watch watch;
	_Atomic uint32_t line; /* enum vly_sock_line; other threads look, and ask */
	TAILQ_ENTRY(vly_sock) ready_link;
	TAILQ_ENTRY(vly_sock) line_link; /* in `backlogged` or `writable` */
};

TAILQ_HEAD(vly_sock_list, vly_sock);

struct vly_socks {
	struct vly_sock **table; /* by index; NULL: free */
	uint32_t n_room;
	struct vly_indexes indexes;    /* of the table */
	struct vly_sock **of_listener; /* the first one of each listener, by its index */
	uint32_t n_of_listener;
	uint32_t last_serial;
	uint64_t n_drops_gone;      /* the kernel's, of sockets that are closed */
	struct vly_sock_list ready; /* and those that this pass has served */
	uint32_t n_ready;
	uint32_t n_refused;              /* of which nothing can be received */
	struct vly_sock_list backlogged; /* replies wait for room there */
	struct vly_sock_list writable;   /* none wait any more, and somebody wants to know */
	const struct volley_allocator *allocator;
};

void vly_socks_init(struct vly_socks *socks, const struct volley_allocator *allocator);
void vly_socks_fini(struct vly_socks *socks);

/*
 * A new socket at a free index; what it starts with is the listener's. NULL for lack of memory.
 * Remove it again: its descriptor stays open, and it stays with its listener, for the books. With
 * the lock, both.
 */
struct vly_sock *vly_socks_add(struct vly_socks *socks, struct vly_listener *listener, int fd);
void vly_socks_remove(struct vly_sock *sock);
/* The removed ones of a listener that is no more. */
void vly_socks_free_gone(struct vly_listener *listener);

/* By index, and by the serial as well: NULL when that one is gone. */
struct vly_sock *vly_socks_get(const struct vly_socks *socks, uint32_t sock_index);
struct vly_sock *vly_socks_find(const struct vly_socks *socks, uint32_t sock_index,
				uint32_t serial);
/* The first one of a listener, and the next of the same; NULL: there is none. */
struct vly_sock *vly_socks_get_first(const struct vly_socks *socks, uint32_t listener_index);
struct vly_sock *vly_socks_find_first(const struct vly_socks *socks,
				      struct volley_listener listener);
struct vly_sock *vly_socks_get_next(const struct vly_sock *sock);
/* A listener's by its descriptor. */
struct vly_sock *vly_socks_find_fd(const struct vly_socks *socks, uint32_t listener_index, int fd);

/* Whether datagrams are taken from it; either way, a rest ends. */
void vly_socks_set_reads(struct vly_sock *sock, bool reads);

/*
 * How a receive went: 0, or the -errno that is nobody's report. After so many in a row the socket
 * is refused, until one has not failed.
 */
enum { VLY_SOCKS_N_REFUSED = 64 };
void vly_socks_set_refused(struct vly_sock *sock, int error);

static inline bool vly_socks_is_refused(const struct vly_sock *sock)
{
	return sock->n_refused >= VLY_SOCKS_N_REFUSED;
}

static inline bool vly_socks_has_refused(const struct vly_socks *socks)
{
	return socks->n_refused > 0;
}

/* Whether it has something to read, or replies that wait: keep the lists right. */
void vly_socks_set_ready(struct vly_sock *sock, bool is_ready);
void vly_socks_set_backlogged(struct vly_sock *sock);

/*
 * Any thread that the socket cannot go away from: whether replies stand in line there. If so, the
 * worker hears of it when they do no more; so only for those who tell the user.
 */
bool vly_socks_request_room(struct vly_sock *sock);

/* The first whose line has ended since it was asked for, and is asked for no more; or NULL. */
struct vly_sock *vly_socks_pop_writable(struct vly_socks *socks);

/* Nobody waits for the end of its line. */
void vly_socks_forget_room(struct vly_sock *sock);

/* Have the next pass begin with this one of the list of the ready. */
void vly_socks_set_next_ready(struct vly_sock *sock);

/* The lists: the first, and the one behind a socket; NULL: there is none. */
static inline struct vly_sock *vly_socks_get_ready(const struct vly_socks *socks)
{
	return TAILQ_FIRST(&socks->ready);
}

static inline struct vly_sock *vly_socks_get_next_ready(const struct vly_sock *sock)
{
	return TAILQ_NEXT(sock, ready_link);
}

static inline struct vly_sock *vly_socks_get_backlogged(const struct vly_socks *socks)
{
	return TAILQ_FIRST(&socks->backlogged);
}

static inline struct vly_sock *vly_socks_get_next_backlogged(const struct vly_sock *sock)
{
	return TAILQ_NEXT(sock, line_link);
}

/* Whether any is ready; the list may hold some that no longer are. */
static inline bool vly_socks_has_ready(const struct vly_socks *socks)
{
	return socks->n_ready > 0;
}

/* A pass begins: take the socket out of the list if it is not ready any more. True: it is. */
bool vly_socks_settle(struct vly_sock *sock);

/* All of them: the one behind an index, from UINT32_MAX on; NULL: there is none. */
struct vly_sock *vly_socks_get_after(const struct vly_socks *socks, uint32_t sock_index);

/* Ask the kernel what one dropped and holds; or what those dropped that are gone. With the lock. */
void vly_socks_add_stats(struct vly_sock *sock, struct volley_stats *stats);
void vly_socks_add_gone(const struct vly_socks *socks, struct volley_stats *stats);

/* The last reading of all of them; or a new beginning, and those read by errand are read again. */
void vly_socks_set_drains(struct vly_socks *socks, bool drains);

/* Every socket that is read is ready: for a drain, and loops that do not ask the kernel. */
void vly_socks_set_all_ready(struct vly_socks *socks);
/* The same for those that the last pass has served. */
void vly_socks_keep_ready(struct vly_socks *socks);

#endif
