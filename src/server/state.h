/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_STATE_H
#define VLY_SERVER_STATE_H

/* The server: the struct, nothing else. Each field says which lock guards it. */

#include <stdatomic.h>
#include <stdbool.h>

#include <volley/server.h>
#include <volley/stats.h>

#include "data/indexes.h"
#include "path/gate.h"
#include "path/shared.h"
#include "sys/probe.h"
#include "sys/thread.h"

enum vly_server_state {
	VLY_SERVER_STOPPED = 0,
	VLY_SERVER_STARTING, /* threads exist, hooks run, nothing is served */
	VLY_SERVER_RUNNING,
	VLY_SERVER_CLOSED, /* no sockets any more; only the statistics are left */
};

/*
 * Whether a thread is inside volley_server_run(), and how it was asked to leave since it looked
 * last. Who asks for less than was asked for already adds nothing.
 */
enum vly_run { VLY_RUN_NOBODY = 0, VLY_RUN_SERVES, VLY_RUN_SHALL_DRAIN, VLY_RUN_SHALL_STOP };

/* Another server that may hold sockets of ours: server/handover/sharers.c. */
struct vly_sharer {
	uint64_t id;  /* of the hand-over that we know it by */
	bool is_peer; /* it is the other side of that one; else it was known there */
	bool reads;   /* as far as we know */
	bool waits;   /* it serves on, and wants our counters when we end */
	bool busy;    /* an export is under way: what it says is heard there */
	bool owes;    /* it may have served, and its counters are among those that are missing */
	int watch_fd; /* a lease: over when neither it nor anybody after it holds a socket */
	int talk_fd;  /* our end of the conversation, while it means something; or -1 */
};

/* A lease that others watch, to know whether somebody holds the sockets that we hold. */
struct vly_hold {
	uint64_t id;
	int fd;
};

/* Each is a failed restart whose server is still there, the one before us, or one it knows. */
enum { VLY_SHARERS_MAX = 32 };

struct vly_sharers {
	uint64_t last_id;
	uint32_t n;
	struct vly_sharer all[VLY_SHARERS_MAX];
	uint32_t n_holds;
	struct vly_hold holds[VLY_SHARERS_MAX];
	bool ends;          /* this server has begun to end: nobody shall rely on it */
	uint64_t n_missing; /* processes that served, and are in nobody's books */
};

/* server/linger.c: the time between a drain's request and its beginning. */
struct vly_linger {
	uint64_t end_ns; /* control: when the drain begins; 0: none is asked for */
	bool has_told;   /* shared.lock: on_drain has run since the last start, or is about to */
};

/* server/ending.c: from a drain's beginning to the command, where listeners are the last. */
struct vly_ending {
	bool has_first;   /* the others are refused and served */
	bool has_asked;   /* the workers were asked, since then, whether all is served */
	uint64_t look_ns; /* when to ask them again */
};

/*
 * Four locks, in this order. `control` serialises start, stop, drain, close, run, and is held while
 * they wait for workers. `listening` is held for a change of the listeners, and for the moments in
 * which the others need that there is none; so listeners come and go while run serves. `grouping`
 * is held while a group is joined or left, which the kernel can make last. `shared.lock` is held
 * for moments, and may be taken by anyone but a signal handler. A worker takes neither of the first
 * two.
 */
struct volley_server {
	struct vly_shared shared; /* what workers see; config is in it */
	struct vly_probe probe;   /* read-only after new */
	uint64_t started_ms;      /* the same; Unix time */
	_Atomic uint32_t refused; /* 1 << enum vly_need: what was warned about */
	struct volley_worker *workers;
	struct vly_lock control;
	struct vly_lock listening;
	struct vly_lock grouping;

	/* listening: */
	bool warned_buffer[2];      /* by enum vly_socket_buffer == VLY_SOCKET_RCVBUF */
	bool told_many;             /* that the system's receive buffers have to do */
	uint32_t told_rcvbuf;       /* the receive buffer that was last told to be too small */
	struct vly_import *import;  /* sockets of the process before, or NULL */
	struct vly_indexes indexes; /* of listeners, in the set or not */

	/*
	 * listening and shared.lock to write, either to read: up to the highest index that was ever
	 * in use, NULL where there is none.
	 */
	struct vly_listener **listeners;
	uint32_t n_listeners;
	uint32_t n_listeners_room;
	uint32_t n_in_set; /* as many as are not NULL */

	enum vly_server_state state; /* control and shared.lock to write, either to read */
	/* shared.lock: */
	bool coalesces; /* some listener does or did */
	bool exporting; /* a hand-over is under way; listeners do not change */
	struct volley_stats carried;
	struct vly_sharers sharers;
	struct vly_linger linger; /* see there */
	struct vly_ending ending; /* control */

	_Atomic bool export_abort; /* the hand-over shall end */
	struct vly_gate gate;      /* where workers that start meet */

	/* request_stop(), which may run in a signal handler: no locks. */
	_Atomic uint32_t run;             /* enum vly_run */
	_Atomic uint32_t n_want_drain;    /* callers that wait for `control` to drain, */
	_Atomic uint32_t n_want_stop;     /* and to stop at once */
	_Atomic uint32_t n_stopping;      /* threads that use the workers' handles without a lock */
	_Atomic vly_thread_id run_thread; /* the thread inside run; 0: none */
};

#endif
