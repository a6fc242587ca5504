/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_COMMON_REPLACE_H
#define EXAMPLES_COMMON_REPLACE_H

/*
 * Hot restart by a path: the process that listens there is replaced, and then this one listens
 * there. Every function returns 0, or -errno after a sentence on stderr.
 */

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <time.h>

#include <volley/volley.h>

#include "options.h"
#include "place.h"

struct replace {
	const char *program;
	const char *path;
	struct volley_server *server;
	struct place place;
	int place_error; /* why the path does not lead to us, or 0 */
	int peer_fd;     /* the process before us, or -1 */
	pthread_t thread;
	sem_t attached; /* the thread is there */
	sem_t go;       /* it may listen, or end */
	struct volley_cancel *handle;
	int attach_error;
	bool has_thread;
	bool serves;    /* what `go` means */
	bool replaced;  /* by another one, whose the path is now */
	time_t said_s;  /* when the log heard last that others serve, too */
	time_t ports_s; /* until when replace_retry() says yes */
};

/*
 * options_serve(), after the sockets were taken over from the process that listens at `path`, and
 * then others may take them over there. Without a path it is options_serve().
 */
int replace_serve(struct options *options, const struct volley_listen_config *listener,
		  const char *path);

/*
 * The steps of it, for programs with a life of their own.
 *
 * Before listening: get the sockets of the process that listens at `path`, if there is one. All
 * that a later step needs is made here, because after replace_commit() nobody else serves: the name
 * to put in the path's place, and the thread.
 */
int replace_begin(struct replace *replace, const char *program, const char *path,
		  struct volley_server *server);

/*
 * An address cannot be bound since somebody has it: wait for a moment, and look whether there is
 * somebody to take over from by now. Returns whether to try again. It does for 2 s, unless sockets
 * were taken over already, or SIGTERM came.
 */
bool replace_retry(struct replace *replace);

/* When the server serves: that process may go. Then listen at the path. */
int replace_commit(struct replace *replace);

/*
 * The server is closed, and its ports are free. Before, the path would lead nowhere while nobody
 * else could serve. Takes a zeroed object too, and may come twice.
 */
void replace_end(struct replace *replace);

#endif
