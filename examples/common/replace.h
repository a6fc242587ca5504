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
#include <sys/types.h>
#include <sys/un.h>

#include <volley/volley.h>

struct replace {
	const char *program;
	const char *path;
	struct volley_server *server;
	int peer_fd;                                         /* the process before us, or -1 */
	int listen_fd;                                       /* for the one after us, or -1 */
	char own[sizeof((struct sockaddr_un *)0)->sun_path]; /* its name until it has the path */
	dev_t device; /* of listen_fd's name, and its number there: whether the path is ours */
	ino_t inode;
	pthread_t thread;
	sem_t attached; /* the thread is there */
	sem_t go;       /* it may listen, or end */
	struct volley_cancel *handle;
	int attach_error;
	bool has_thread;
	bool serves; /* what `go` means */
	bool placed; /* listen_fd has the path, or had it until somebody replaced us */
};

/*
 * Before listening: get the sockets of the process that listens at `path`, if there is one. All
 * that a later step needs is made here, because after replace_commit() nobody else serves: the name
 * to put in the path's place, and the thread.
 */
int replace_begin(struct replace *replace, const char *program, const char *path,
		  struct volley_server *server);

/* When the server serves: that process may go. Then listen at the path. */
int replace_commit(struct replace *replace);

/* The server has ended. Takes a zeroed object too, and may come twice. */
void replace_end(struct replace *replace);

#endif
