/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_HANDLER_H
#define VLY_PATH_HANDLER_H

/*
 * Handler threads: callbacks that may be slow run there, while the worker goes on draining its
 * socket. handlers.c is the worker's side, handler.c the thread's.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <volley/cancel.h>
#include <volley/packet.h>
#include <volley/server.h>

#include "data/buffers.h"
#include "data/ring.h"
#include "sys/thread.h"

/* What the worker wants of its handlers; it only grows while they run. */
enum vly_handler_command {
	VLY_HANDLER_SERVE = 0,
	VLY_HANDLER_DRAIN, /* serve what is in the ring, then leave */
	VLY_HANDLER_STOP,  /* finish the callback, give the rest back as stopped, leave */
};

/* vly_buffer.state of a packet that comes back from a handler. */
enum vly_handler_verdict {
	VLY_HANDLER_DELIVERED = 0,
	VLY_HANDLER_EXPIRED,
	VLY_HANDLER_STOPPED,
};

/* vly_buffer.n_failed of such a packet. */
enum vly_handler_failure {
	VLY_HANDLER_TOO_LONG = 0,
	VLY_HANDLER_REFUSED,
	VLY_HANDLER_NO_BUFFER,
	VLY_HANDLER_N_FAILURES,
};

/* Entries of the tx ring: an index of the worker's packets, or of the handler's own buffers. */
#define VLY_HANDLER_OWN 0x80000000u

/* Rooms that one callback can have from volley_packet_reply_buffer() at a time. */
enum { VLY_HANDLER_N_ROOMS = 64 };

/* Most packets that a handler takes at a time. */
enum { VLY_HANDLER_N_VIEWS = 256 };

struct vly_handler {
	/* Set once. */
	struct volley_worker *worker;
	uint32_t index;
	int event_fd;
	struct vly_buffer *packets; /* the worker's, by index */

	/* The worker's. */
	VLY_ALIGNED uint32_t n_out;            /* packets that have not come back */
	uint32_t n_pending;                    /* packets of this volley */
	uint32_t pending[VLY_HANDLER_N_VIEWS]; /* their indices */
	struct vly_thread thread;
	bool started;
	/* server->lock: how the thread's start went. */
	bool reported;
	int start_result;
	struct volley_cancel *handle; /* set before `reported` */

	/* Both: indices there, back, and back again. */
	struct vly_ring rx;                   /* worker to handler: packets */
	struct vly_ring tx;                   /* handler to worker: packets and own buffers */
	struct vly_ring spare;                /* worker to handler: own buffers that were sent */
	VLY_ALIGNED _Atomic uint32_t command; /* enum vly_handler_command */
	_Atomic bool asleep;
	_Atomic bool mailed; /* `mail` is in the worker's inbox */
	_Atomic bool left;   /* the thread needs nothing any more */
	_Atomic pid_t tid;   /* 0: no thread */
	struct vly_inbox_node mail;

	/* The handler's. */
	VLY_ALIGNED struct vly_buffers *own;
	struct volley_packet *views; /* VLY_HANDLER_N_VIEWS */
	uint32_t *out;               /* what goes into the tx ring after the callback */
	uint32_t n_out_entries;
	uint32_t n_batch; /* packets to take at a time: fewer when they are slow */
	struct vly_buffer *rooms[VLY_HANDLER_N_ROOMS];
	uint32_t n_rooms;
};

/* handlers.c: the worker's side ---------------------------------------------------------------- */

/* Memory and descriptors for the worker's handlers, if it has any. fini takes half-made ones. */
int vly_handlers_init(struct volley_worker *worker);
void vly_handlers_fini(struct volley_worker *worker);

/* Worker's thread: start the threads, and end them; end takes those that never started too. */
int vly_handlers_start(struct volley_worker *worker);
void vly_handlers_stop(struct volley_worker *worker);

/* Worker's thread: let the handlers serve what they have and leave; true: all have left. */
void vly_handlers_drain(struct volley_worker *worker);
bool vly_handlers_test_left(const struct volley_worker *worker);

/* Worker's thread: give a volley's views to the handlers instead of the callback. */
void vly_handlers_give(struct volley_worker *worker, const struct volley_packet *views, uint32_t n);

/* Worker's thread: take what a handler sent back, by its node in the inbox. */
void vly_handlers_take(struct volley_worker *worker, struct vly_inbox_node *mail);

/* Worker's thread: a buffer that came from a handler has been sent. */
void vly_handlers_put(struct volley_worker *worker, struct vly_buffer *buffer);

/* Whether a thread is one of the worker's handlers. */
bool vly_handlers_test_tid(const struct volley_worker *worker, pid_t tid);

/* handler.c: the thread's side ----------------------------------------------------------------- */

/* A thread's main function. */
void *vly_handler_main(void *handler);

/* volley_packet_reply() and _reply_buffer() in a handler. */
int vly_handler_reply(struct volley_packet *packet, const uint8_t *data, size_t len);
void *vly_handler_get_room(struct volley_packet *packet, size_t need, size_t *ret_capacity);

#endif
