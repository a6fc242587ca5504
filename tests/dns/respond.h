/* SPDX-License-Identifier: MIT */
#ifndef TESTS_DNS_RESPOND_H
#define TESTS_DNS_RESPOND_H

/* The packet path of volley-dns in one call, over a zone file, without sockets. */

#include "answer.h"
#include "rrl.h"

struct respond {
	struct dns_responder responder;
	struct dns_catalog *catalog;
	struct dns_rrl *rrl;
	struct dns_query query; /* of the last call */
	struct dns_answer answer;
};

/* Serve `path` as example.org, and a few zones more; the keys never change. Aborts on failure. */
void respond_init(struct respond *respond, const char *path);
void respond_fini(struct respond *respond);

/*
 * Answer a datagram in room for `limit` bytes, 0 for what UDP allows. Returns the length, 0 for no
 * answer.
 */
size_t respond(struct respond *respond, const uint8_t *data, size_t n, size_t limit, uint8_t *out);

#endif
