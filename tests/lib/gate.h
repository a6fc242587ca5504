/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_GATE_H
#define TESTS_LIB_GATE_H

/*
 * A gate in a callback, with which a test makes its moments: nothing sleeps to synchronise.
 *
 *	open_gate();
 *	server = ... (.on_batch = wait_at_gate)
 *	sem_wait(&gate.entered);        (the first callback stands at the gate)
 *	sem_post(&gate.go);             (and goes on)
 *
 * And threads that end a server meanwhile.
 */

#include <semaphore.h>
#include <stdatomic.h>

#include "lib/peer.h"

/* A test has its own process. */
static struct {
	sem_t entered;
	sem_t go;
	atomic_uint n_calls;
	atomic_long r; /* what a callback or a thread got */
	int pipe[2];   /* for callbacks that block in it; the test opens it */
} gate;

static inline void open_gate(void)
{
	sem_init(&gate.entered, 0, 0);
	sem_init(&gate.go, 0, 0);
	atomic_store(&gate.n_calls, 0);
}

/* Only the first callback waits; all echo. */
static inline void wait_at_gate(struct volley_worker *worker, struct volley_packet *packets,
				size_t n, void *arg)
{
	if (atomic_fetch_add(&gate.n_calls, 1) == 0) {
		sem_post(&gate.entered);
		sem_wait(&gate.go);
	}
	peer_echo(worker, packets, n, arg);
}

static inline void *call_stop(void *server)
{
	return (void *)(intptr_t)volley_server_stop(server);
}

static inline void *call_drain(void *server)
{
	return (void *)(intptr_t)volley_server_drain(server);
}

#endif
