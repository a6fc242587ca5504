/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_WORKER_H
#define VLY_PATH_WORKER_H

/*
 * A worker, by owners: each member belongs to the file that is named beside it, and other files
 * reach it through that file's functions only (tools/rules/owners.py).
 *
 * What has no thread named is the worker's own: the thread's that runs it, or the control thread's
 * while no thread does.
 */

#include <stdatomic.h>
#include <stdbool.h>

#include <volley/packet.h>

#include "base/compiler.h"
#include "data/slots.h"
#include "data/wheel.h"
#include "path/arena.h"
#include "path/drain.h"
#include "path/ledger.h"
#include "path/mail.h"
#include "path/self.h"
#include "path/shared.h"
#include "path/socks.h"
#include "sys/lock.h"
#include "sys/thread.h"

/* Replies collected before they are handed to the kernel; it takes no more in one call. */
enum { VLY_N_TX = 1024 };

/* pipeline.c: a volley on its way in. */
struct vly_intake {
	struct vly_slots slots;
	struct volley_packet *views; /* VLY_PIPELINE_N_VIEWS */
	struct vly_sock *sock;       /* whose volley is shown to the callback */
	uint32_t sock_index;         /* its index: each reply asks for it */
	bool has_called;             /* a callback for this volley has begun */
	_Atomic bool is_called;      /* a pass goes no further than its next volley */
};

/* vly_buffer.pool: whom a buffer goes back to when it was sent. */
enum vly_pool {
	VLY_POOL_REMOTE = 0, /* remote.c's */
	VLY_POOL_PACKETS,    /* handlers.c's */
	VLY_POOL_HANDLER,    /* `own` of the handler called `owner` */
	VLY_POOL_N,
};

/* outbox.c: replies on their way out. */
struct vly_outbox {
	struct vly_tx *tx; /* VLY_N_TX */
	uint32_t n_tx;
	bool is_flushing; /* they are being sent; what is added is sent with them */
	struct vly_inbox_node *sending[VLY_POOL_N]; /* buffers that the next flush sends */
	struct vly_inbox_node *sent[VLY_POOL_N];    /* and that their owners may take back */
};

/* sender.c: what leaves is grouped there. */
struct vly_sender {
	struct vly_coalesce *coalesce;
};

/* handlers.c: the worker's handler threads, and the packets that they have. */
struct vly_crew {
	struct vly_handler *handlers; /* n_handlers */
	uint32_t n_handlers;
	bool is_open; /* they serve, and nobody has told them to leave */
	struct vly_buffers *packets;
	/* Where to look first for one that has little to do. */
	VLY_ALIGNED uint32_t next_index;
};

/* icmp.c: reports of the network. */
struct vly_icmp {
	bool is_silent;   /* counted, but not told any more */
	uint32_t n_looks; /* of `spin`, at sockets that others may hold */
	/* Met while something was sent, and not told yet. */
	uint32_t n_reports;
	struct vly_report {
		struct volley_addr peer;
		int error;
		uint32_t sock_index;
		uint32_t sock_serial;
	} reports[256];
};

/* remote.c: what other threads want to be sent. */
struct vly_remote {
	struct vly_lock lock; /* for what follows, and for struct vly_held */
	bool has_lock;
	bool is_open; /* the worker takes sends */
	struct vly_buffers *buffers;
	uint32_t n_sending;      /* buffers on their way through the worker */
	struct vly_outside gone; /* of sockets that are gone */
};

/* held.c: packets whose replies come later. With the lock of struct vly_remote. */
struct vly_held {
	uint32_t seed;            /* where the generations of tokens start; set once */
	struct vly_buffer *first; /* in order of their deadlines */
	struct vly_buffer *last;
	_Atomic uint32_t n; /* read without the lock, too */
};

/*
 * Where a worker is in its life. It goes forward only, from the loop's end to the thread's, and
 * each step is bounded in time: INTAKE_OFF after what a drain has to serve, HANDLERS_DONE when no
 * callback for packets runs any more, FLUSHED when every reply has left or was dropped by name.
 */
enum vly_life_state {
	VLY_LIFE_STOPPED = 0,
	VLY_LIFE_RUNNING,
	VLY_LIFE_INTAKE_OFF,
	VLY_LIFE_HANDLERS_DONE,
	VLY_LIFE_FLUSHED,
};

/* worker/life.c. */
struct vly_life {
	enum vly_life_state state;
};

/* worker/presence.c, with shared->lock. */
struct vly_presence {
	bool is_here;   /* has a thread, or is served by the caller's loop */
	bool is_closed; /* takes no more posts */
};

/* worker/turn.c: a worker without a thread is the one who has the turn. */
struct vly_turn {
	struct vly_lock lock;
	/* Sends came while somebody had the turn. They lie in the inbox, and those behind them. */
	_Atomic bool has_late;
};

/* worker/worker_thread.c, on the control thread. */
struct vly_worker_thread {
	struct vly_thread thread;
	struct vly_gate *gate; /* where its start is reported */
};

/*
 * worker/errand.c: what the server has the worker do between two volleys. The sender writes it,
 * with shared->lock, and waits until the worker has done it.
 */
struct vly_errand {
	struct vly_inbox_node node;
	struct vly_round *round;
};

/* worker/goodbye.c: what an end has the worker do, on its way. With shared->lock. */
struct vly_goodbye {
	struct vly_inbox_node node;
	int (*fn)(struct volley_worker *worker, void *arg); /* vly_errand_fn */
};

/* worker/timers.c: the user's timers, and the time. */
struct vly_timers {
	bool is_open;      /* they may be set, and fire */
	int fd;            /* the kernel's timer, in loops that wait by it; -1: none was set yet */
	uint64_t armed_ns; /* when that ends a wait; UINT64_MAX: not at all */
	uint64_t now_ns;   /* of this pass; 0: nobody has asked */
	struct vly_wheel wheel;
};

/* worker/loop_*.c. */
struct vly_loop {
	const struct vly_loop_ops *ops; /* worker/loop_ops.h; set once */
	struct vly_loop_event *event;   /* loop_event.c's */
	struct vly_loop_base *base;     /* loop_base.c's */
	int poll_fd;                    /* loop_fd.c's, where the loop is the caller's; else -1 */
	bool is_open;
	bool is_lit;                /* loop_fd.c: the eventfd stands for sockets that are polled */
	uint32_t n_polled;          /* polled.c's: sockets that are out of epoll */
	uint32_t n_slow;            /* those of them that are looked at by the clock */
	struct vly_sock_list asked; /* loop_fd.c: where epoll reports room for replies */
	uint32_t n_unsaid;          /* loop_new.c: libevent's lines that were left out */
	uint64_t log_ns;            /* and when the next one is written */
};

struct volley_worker {
	/* Handlers read these and `crew` for each packet: what is written often lies elsewhere. */
	struct vly_shared *shared;
	struct volley_server *server; /* opaque down here */
	uint32_t index;
	uint64_t memory_bytes; /* of slots, arena and buffers; with shared->lock */
	void *data;            /* the user's */
	struct vly_crew crew;

	VLY_ALIGNED struct vly_io *io;
	struct vly_intake intake;
	struct vly_arena arena;
	struct vly_outbox outbox;
	struct vly_sender sender;
	struct vly_buffers *backlog; /* backlog.c's pool: replies that wait for room */
	struct vly_socks socks;
	struct vly_books books;
	struct vly_drain drain;
	struct vly_life life;
	struct vly_presence presence;
	struct vly_worker_thread thread;
	struct vly_turn turn;
	struct vly_loop loop;
	struct vly_timers timers;

	VLY_ALIGNED struct vly_mail mail;
	struct vly_remote remote;
	struct vly_held held;
	struct vly_errand errand;
	struct vly_goodbye goodbye;
	struct vly_self self;
	struct vly_icmp icmp; /* large, and seldom used */
};

#endif
