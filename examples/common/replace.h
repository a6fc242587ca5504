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

#include <volley/volley.h>

struct replace {
	const char *program;
	const char *path;
	struct volley_server *server;
	int peer_fd;   /* the process before us, or -1 */
	int listen_fd; /* for the one after us, or -1 */
	ino_t inode;   /* of the path, as long as it is ours */
	pthread_t thread;
	sem_t attached;
	struct volley_cancel *handle;
	bool running;
};

/* Before listening: get the sockets of the process that listens at `path`, if there is one. */
int replace_begin(struct replace *replace, const char *program, const char *path,
		  struct volley_server *server);

/* When the server serves: that process may go. Then listen at the path, on a thread of our own. */
int replace_commit(struct replace *replace);

/* The server has ended. Takes a zeroed object too, and may come twice. */
void replace_end(struct replace *replace);

#endif
