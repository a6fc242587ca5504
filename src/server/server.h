/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_SERVER_H
#define VLY_SERVER_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <volley/server.h>
#include <volley/stats.h>

#include "io/io.h"
#include "sys/lock.h"
#include "sys/probe.h"

enum vly_server_state {
	VLY_SERVER_STOPPED = 0,
	VLY_SERVER_STARTING, /* threads exist, hooks run, nothing is served */
	VLY_SERVER_RUNNING,
	VLY_SERVER_CLOSED, /* no sockets any more; only the statistics are left */
};

/* Whether a thread is inside volley_server_run(), and whether it was asked to leave. */
enum vly_run { VLY_RUN_NOBODY = 0, VLY_RUN_SERVES, VLY_RUN_ASKED };

/*
 * Three locks, in this order. `control` serialises start, stop, drain, close, run, and is held
 * while they wait for workers. `listening` is held for a change of the listeners, and for the
 * moments in which the others need that there is none; so listeners come and go while run serves.
 * A worker takes neither. `lock` guards what is below it, is held for moments, and may be taken by
 * anyone but a signal handler.
 */
struct volley_server {
	struct volley_config config; /* read-only after new */
	struct vly_probe probe;      /* the same */
	struct vly_lock control;

	struct vly_lock listening;
	bool warned_buffer[2]; /* listening; by enum vly_socket_buffer == VLY_SOCKET_RCVBUF */
	/* Up to the highest index that was ever in use, NULL where there is none. Listening and
	 * lock to write, either to read. */
	uint32_t n_listeners;
	struct volley_listener *listeners[VLY_IO_N_PORTS];
	struct vly_import *import; /* listening; sockets of the process before, or NULL */

	struct vly_lock lock;
	struct vly_cond changed; /* lock: something below, or whether a worker is present */
	bool coalesces;          /* some listener does or did */
	bool exporting;          /* a hand-over is under way; listeners do not change */
	bool export_abort;       /* and shall end */
	struct volley_stats carried;
	enum vly_server_state state;
	uint32_t n_reported; /* workers whose on_start has returned */
	int start_result;    /* the first failure among them */
	bool verdict;        /* the workers may go on (or leave, by start_result) */

	struct volley_worker *workers;
	/* enum vly_command. One for all workers, so that a stop is for all of them or for none. */
	_Atomic uint32_t command;

	/* request_stop(), which may run in a signal handler: no locks. */
	_Atomic uint32_t run;         /* enum vly_run */
	_Atomic uint32_t n_want_stop; /* callers that wait for `control` to stop the workers */
	_Atomic pid_t run_tid;        /* the thread inside run; 0: none */
	_Atomic uint32_t n_stopping;  /* calls of request_stop() that are inside */
	int event_fd;                 /* wakes volley_server_run() */
};

/* Any thread, signal handlers too: volley_server_run() shall look around. */
void vly_run_wake(struct volley_server *server);

/*
 * Whether the caller is a worker or inside run's hooks, where waiting for workers would be for
 * ever.
 */
bool vly_server_test_inside(const struct volley_server *server);

/* run.c: the parts of stop and drain that it does one by one. With `control` held. */
int vly_server_start(struct volley_server *server);
/* Signal handlers too: raise the command (never lowers it) and cancel the workers' waits. */
void vly_server_command(struct volley_server *server, uint32_t command);
void vly_server_refuse_new(struct volley_server *server);
void vly_server_join(struct volley_server *server);
bool vly_server_test_late(const struct volley_server *server);

#endif
