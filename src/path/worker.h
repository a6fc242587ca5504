/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_WORKER_H
#define VLY_PATH_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <volley/cancel.h>
#include <volley/packet.h>
#include <volley/server.h>
#include <volley/stats.h>

#include "data/buffers.h"
#include "data/inbox.h"
#include "data/slots.h"
#include "io/io.h"
#include "path/handler.h"
#include "path/listener.h"
#include "path/remote.h"
#include "path/stats.h"
#include "sys/lock.h"
#include "sys/thread.h"

struct vly_loop;

/*
 * Most views handed to one callback: enough to amortise the call, few enough to stay in the L1
 * cache.
 */
enum { VLY_N_VIEWS = 256 };

/*
 * Answers collected before they are handed to the kernel; it takes no more than 1,024 in one call.
 */
enum { VLY_N_TX = 1024 };

/* What the server wants of its workers; it only grows while they run. */
enum vly_command { VLY_COMMAND_RUN = 0, VLY_COMMAND_DRAIN, VLY_COMMAND_STOP };

/* vly_inbox_node.kind: what is around a node of a worker's inbox. */
enum vly_mail {
	VLY_MAIL_POST = 0, /* struct vly_post */
	VLY_MAIL_SEND,     /* struct vly_buffer, of remote.c */
	VLY_MAIL_HANDLER,  /* struct vly_handler, whose tx ring has something */
};

/* vly_buffer.pool: whom a buffer goes back to when it was sent. */
enum vly_pool {
	VLY_POOL_REMOTE = 0, /* worker->remote.buffers */
	VLY_POOL_PACKETS,    /* worker->packets */
	VLY_POOL_HANDLER,    /* `own` of the handler called `owner` */
};

/*
 * Where a worker is in its life. It goes forward only, from the loop's end to the thread's, and
 * each step is bounded in time: INTAKE_OFF after what a drain has to serve, HANDLERS_DONE when no
 * callback runs any more,
 * FLUSHED when every answer has left or was dropped by name.
 */
enum vly_worker_state {
	VLY_WORKER_STOPPED = 0,
	VLY_WORKER_RUNNING,
	VLY_WORKER_INTAKE_OFF,
	VLY_WORKER_HANDLERS_DONE,
	VLY_WORKER_FLUSHED,
};

/* One worker's socket of one listener, and the answers that wait for it. */
struct vly_port {
	struct volley_listener *listener; /* NULL: this index is free */
	int fd;                           /* -1: the listener has no socket for this worker */
	bool reads;                       /* datagrams are taken from it */
	bool keeps;                       /* it is somebody else's too: see vly_listener_keeps() */
	bool ready;                       /* the loop found it readable, or did not look */
	uint32_t watched; /* loop_fd.c: the events that epoll has of watched_fd; 0: not there */
	int watched_fd;
	uint32_t n_taken;      /* messages received in the last pass */
	uint32_t n_handled;    /* packets that handlers have */
	_Atomic bool given_up; /* handlers shall give them back without a callback */
	/* Answers in order of arrival, linked by their nodes. */
	struct vly_buffer *backlog_first;
	struct vly_buffer *backlog_last;
	uint32_t n_backlog;
	/* What may leave as one message, lowered when the kernel refused, until limits_ns. */
	struct vly_coalesce_limits limits;
	uint64_t limits_ns;
	uint32_t n_refusals; /* EIO or ENOPROTOOPT on segmented messages */
	bool refusal_logged;
	uint32_t retry_us; /* 0: wait for POLLOUT; else the pause that ends at retry_ns (ENOBUFS) */
	uint64_t retry_ns;
	/* SO_MEMINFO's 32-bit drop counter, extended, and of all sockets that ever had this index;
	 * guarded by the server's lock, as are changes of `fd`. */
	uint64_t kernel_drops;
	uint32_t drops_seen;
	uint32_t drops_first; /* what it had when it became this port's */
};

/* A function for a worker, which frees the post after running it, or else leaves it alone. */
struct vly_post {
	struct vly_inbox_node node;
	volley_worker_fn fn;
	void *arg;
	bool permanent;
};

struct volley_worker {
	/* Set once, read by everyone. */
	struct volley_server *server;
	uint32_t index;
	int event_fd; /* the waker: cancellation requests and inbox pushes write it */
	int poll_fd;  /* loop_fd.c's, where the loop is the caller's; else -1 */

	/* The data path's, which only the worker's thread touches while it runs. */
	struct vly_io *io;
	struct vly_slots slots;
	uint64_t memory_bytes;  /* of slots, arena and buffers */
	struct vly_port *ports; /* VLY_IO_N_PORTS */
	uint32_t n_ports;
	struct volley_packet *views; /* VLY_N_VIEWS */
	struct vly_tx *tx;           /* VLY_N_TX */
	struct vly_coalesce *coalesce;
	uint32_t n_tx;
	uint8_t *arena;
	uint32_t arena_used;
	uint32_t arena_last;   /* where the latest room begins, which a shorter answer gives back */
	uint32_t n_arena_open; /* rooms handed out in this callback, which stay valid in it */
	struct vly_buffers *buffers;    /* for the backlog */
	struct vly_inbox_node *sending; /* buffers that go back with the next flush */
	struct vly_buffers *packets;    /* for packets that handlers have */
	struct vly_handler *handlers;   /* n_handlers */
	uint32_t n_handlers;
	struct volley_stats counts;
	enum vly_worker_state state;
	struct vly_loop *loop;
	void *data;            /* the user's */
	bool drain_late;       /* the drain's time was over first */
	uint64_t drain_end_ns; /* 0: no drain has begun */
	bool closed;           /* server->lock: takes no more posts */
	bool present;          /* server->lock: has a thread, or is served by the caller's loop */
	bool watches;          /* loop_fd.c is open */

	/* Between threads. */
	VLY_ALIGNED struct vly_inbox inbox;
	struct vly_remote remote;
	struct vly_lock turn; /* turn.c: held by whoever is the worker when it has no thread */
	_Atomic pid_t tid;    /* 0: nobody is the worker */
	struct volley_cancel *_Atomic handle;
	struct vly_stats_snapshot snapshot;
	struct vly_post call; /* call.c */

	struct vly_thread thread; /* control */
};

/*
 * All memory a worker needs, so that a later start cannot fail for lack of it. fini takes half-
 * made ones.
 */
int vly_worker_init(struct volley_worker *worker, struct volley_server *server, uint32_t index);
void vly_worker_fini(struct volley_worker *worker);

/*
 * Control thread: create the thread, which reports to the server; join it. Where there is none, do
 * here and now what it would do first and last.
 */
int vly_worker_start(struct volley_worker *worker);
void vly_worker_join(struct volley_worker *worker);

/* Any thread, signal handlers too: end the worker's wait, so that it reads the server's command. */
void vly_worker_cancel(struct volley_worker *worker);

/* Any thread, signal handlers too: have the worker look at its inbox and its command. */
void vly_worker_wake(struct volley_worker *worker);

/* Any thread but a signal handler: run the post's function on the worker. */
void vly_worker_post(struct volley_worker *worker, struct vly_post *post);

/* Any thread but a signal handler, while the worker runs: into the inbox, and wake it if asleep. */
void vly_worker_push(struct volley_worker *worker, struct vly_inbox_node *node);

/* Worker's thread: take what other threads sent: run posts, send sends and answers. */
void vly_worker_take_inbox(struct volley_worker *worker);

/*
 * Worker's thread: what happens by the clock (the backlog, held packets). Whether anything does;
 * the nanoseconds until then, or -1 for never; do it.
 */
bool vly_worker_has_timers(const struct volley_worker *worker);
int64_t vly_worker_get_timeout(struct volley_worker *worker, uint64_t now_ns);
void vly_worker_run_timers(struct volley_worker *worker, uint64_t now_ns);

/* Worker's thread: whether it is draining and has time left. */
bool vly_worker_is_draining(struct volley_worker *worker);

/*
 * Worker's thread, between waits: acknowledge a pending cancellation; true: the command ended the
 * loop.
 */
bool vly_worker_test_stop(struct volley_worker *worker);

/*
 * Worker's thread, or whoever plays it (turn.c). What comes before serving: handlers, the loop, and
 * the user's hook. 0, or -errno and nothing is left of it. Then the way out: through the states up
 * to FLUSHED, and to STOPPED.
 */
int vly_worker_begin(struct volley_worker *worker);
void vly_worker_finish(struct volley_worker *worker);
void vly_worker_end(struct volley_worker *worker);

/* Let the server know that the worker begins to exist, or has left. */
void vly_worker_set_present(struct volley_worker *worker, bool present);

/* What the server wants now. */
enum vly_command vly_worker_get_command(const struct volley_worker *worker);

/* Whether the calling thread is one of the server's workers or handlers. */
bool vly_worker_test_self(const struct volley_server *server);

#endif
