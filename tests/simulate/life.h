/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_LIFE_H
#define TESTS_SIMULATE_LIFE_H

/* A process of a chain of hot restarts: it takes over, serves, hands over, ends. */

#include "play.h"

enum { N_LIVES = 24 };

/* What all processes of the chain have in common. */
struct chain {
	uint32_t n_listeners;
	bool serves[N_LISTENERS]; /* whoever is next listens there */
	bool adopts;              /* the first gets its sockets from somebody else */
	bool is_small;            /* so are the receive buffers: some is lost */
};
extern struct chain chain;

struct life {
	struct play play;
	struct process *process;
	int number;
	int import_fd; /* -1: it is the first */
	int export_fd; /* set by the director; -1: none */
	int closes; /* a listener that it takes over, closes, and has another instead; -1: none */
	bool rests; /* it drains before it hands over */
	bool shall_end;
	bool is_serving; /* and says so */
	bool is_replaced;
	bool is_starved; /* it was, at least */
	bool gave_up;
	bool has_ended; /* by itself, with its books written */
	struct volley_stats books;
	uint64_t n_missing;
};

/* Of what a life says, or the director wants: wait for it, so long. */
extern struct waits life_changes;
void life_wait(uint64_t ns);

/* One that takes over by this end of a conversation; NULL: the first one. It runs from here on. */
void life_start(struct life *life, int number, struct file *conversation);
/* A descriptor for it, by the director. */
int life_install(struct life *life, struct file *file);

/* Where each of them listens. */
struct volley_addr life_get_addr(uint32_t i);

/* What begins with this is not let in by the filter that adopted sockets have. */
enum { LIFE_FORBIDDEN = 0xee };

#endif
