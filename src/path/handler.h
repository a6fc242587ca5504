/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_HANDLER_H
#define VLY_PATH_HANDLER_H

/*
 * A handler thread: callbacks that may be slow run there, while the worker goes on draining its
 * socket. This is the thread's side; the worker's is handlers.h.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <volley/cancel.h>
#include <volley/packet.h>

#include "data/buffers.h"
#include "data/ring.h"
#include "path/gate.h"
#include "path/self.h"
#include "path/worker.h"
#include "sys/thread.h"

struct vly_route;
struct volley_send_options;

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

/* vly_buffer.n_failed of such a packet: replies to it that failed. */
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
	bool is_started;
	struct vly_gate gate;         /* how the thread's start went */
	struct volley_cancel *handle; /* set before the report */

	/* Both: indices there, back, and back again. */
	struct vly_ring rx;                   /* worker to handler: packets */
	struct vly_ring tx;                   /* handler to worker: packets and own buffers */
	struct vly_ring spare;                /* worker to handler: own buffers that were sent */
	VLY_ALIGNED _Atomic uint32_t command; /* enum vly_handler_command */
	_Atomic bool asleep;
	_Atomic bool mailed; /* `mail` is in the worker's inbox */
	_Atomic bool left;   /* the thread needs nothing any more */
	struct vly_self self;
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

/* A thread's main function. */
void *vly_handler_run(void *handler);

/*
 * volley_packet_reply() and _reply_buffer() in a handler. `route`: another way than the request's;
 * it may be NULL. And a reply that was refused before.
 */
int vly_handler_refuse(struct volley_packet *packet);
int vly_handler_reply(struct volley_packet *packet, const uint8_t *data, size_t len,
		      const struct vly_route *route);
void *vly_handler_get_room(struct volley_packet *packet, size_t need, size_t *ret_capacity);

/*
 * In a handler, for a packet of the running callback: have the worker look at its timers, if it
 * sleeps.
 */
void vly_handler_wake_worker(const struct volley_packet *packet);

/* The handler whose thread calls; NULL: it is none of any server's. */
struct vly_handler *vly_handler_self(void);

/* volley_worker_send() in a handler, inside its callback. */
int vly_handler_send(struct vly_handler *handler, struct volley_listener listener,
		     const struct volley_addr *peer, const void *data, size_t len,
		     const struct volley_send_options *options);

#endif
