/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_GIVER_H
#define TESTS_LIB_GIVER_H

/*
 * The old server's part of a hand-over, in a thread of its own, for the new one's is in the same
 * process. tests/matrix/life.c has one that tells its calls from the others.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <volley/volley.h>

struct giver {
	pthread_t thread;
	struct volley_server *server;
	int fd;
	uint32_t timeout_us;
	bool closes;
	const int *further_fds;
	uint32_t n_further_fds;
	int r;
};

static inline void *giver_run(void *arg)
{
	struct giver *giver = arg;

	giver->r = volley_server_export_fds(giver->server, giver->fd, giver->timeout_us,
					    giver->further_fds, giver->n_further_fds);
	if (giver->closes)
		close(giver->fd);
	return NULL;
}

/* One whose fields are set. */
static inline void giver_begin(struct giver *giver)
{
	if (pthread_create(&giver->thread, NULL, giver_run, giver) != 0)
		abort();
}

/* `closes`: as a process does that ends, it closes the descriptor when it is done. */
static inline void giver_start(struct giver *giver, struct volley_server *server, int fd,
			       uint32_t timeout_us, bool closes)
{
	*giver = (struct giver){
		.server = server, .fd = fd, .timeout_us = timeout_us, .closes = closes
	};
	giver_begin(giver);
}

/* What the export came to. */
static inline int giver_join(struct giver *giver)
{
	pthread_join(giver->thread, NULL);
	return giver->r;
}

#endif
