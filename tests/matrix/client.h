/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MATRIX_CLIENT_H
#define TESTS_MATRIX_CLIENT_H

/* The life that is lived, and its client, who asks and counts what comes back. */

#include <stdbool.h>
#include <stdint.h>

#include <volley/volley.h>

#include "matrix/life.h"

enum { N_LISTENERS = 4, N_ASKED = 6 };

struct life {
	const struct way *way;
	struct volley_server *server;
	struct event_base *base;
	struct volley_addr to[N_LISTENERS]; /* where clients send; by listener index */
	bool is_open[N_LISTENERS];
	int client;
	int sink;                  /* receives what is no reply */
	uint64_t n_asked;          /* datagrams that the client sent */
	uint64_t n_replies;        /* datagrams that the client received */
	uint64_t n_nowhere;        /* sends to a port that nobody has */
	struct volley_stats given; /* what a server that handed over leaves behind uncarried */
	bool is_one;
	bool ok;
};

extern _Thread_local bool client_is_outside;

/* Calls of the library, made by a thread of the test. */
#define API(r, call)                       \
	do {                               \
		client_is_outside = false; \
		r = (call);                \
		client_is_outside = true;  \
	} while (0)

/* One reason why the life was not well. */
__attribute__((format(printf, 2, 3))) void client_blame(struct life *life, const char *format, ...);

bool client_has_own_loop(const struct life *life);

uint64_t client_count_received(int fd);
void client_take_replies(struct life *life);

/* Ask each listener; how many replies are missing when nothing more is to come. */
uint64_t client_ask(struct life *life);

/* What has to work now, when nothing fails any more; `when` says when. */
void client_ask_all(struct life *life, const char *when);

#endif
