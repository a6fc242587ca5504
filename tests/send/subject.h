/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SEND_SUBJECT_H
#define TESTS_SEND_SUBJECT_H

/*
 * The two sides of the comparison. The subject is a server whose every datagram comes from the
 * script and whose callback replies to it; all that is real in it is the engine, the sending half
 * of its backend, and the sockets. The reference sends the same datagrams, one sendto each.
 */

#include <volley/server.h>
#include <volley/stats.h>

#include "send/script.h"

struct subject;

/* A server on the addresses of the world, which are filled in. */
struct subject *subject_open(struct script_world *world, uint32_t listen_flags);
void subject_close(struct subject *subject);

/* Make the sockets' send buffers this small. */
void subject_set_sndbuf(struct subject *subject, int n_bytes);

/* Send a script and wait until nothing is queued. The statistics say what became of it. */
void subject_run(struct subject *subject, const struct script *script);
struct volley_stats subject_stats(struct subject *subject);

/*
 * The messages that the kernel accepted of the last script, in order: their destination as
 * receivers_find() knows it, and how many datagrams each was.
 */
struct subject_message {
	uint32_t inbox;
	uint32_t n;
};
const struct subject_message *subject_messages(const struct subject *subject, uint32_t *ret_n);

/* The same by the plain calls of the C library: its counts in the ledger's terms. */
struct reference;
struct reference *reference_open(const struct script_world *world);
void reference_close(struct reference *reference);
void reference_run(struct reference *reference, const struct script *script,
		   struct volley_stats *counts);

#endif
