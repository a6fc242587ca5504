/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_ORACLE_H
#define TESTS_SIMULATE_ORACLE_H

/*
 * Who sent what, and what became of it. Every request and every reply has a number of its own, and
 * bytes that follow from it.
 */

#include <volley/volley.h>

#include "kernel.h"
#include "net.h"

enum { N_ORACLE_CLIENTS = 8, MAX_REQUESTS = 1 << 16 };

void oracle_begin(void);
void oracle_end(void);

/* A request leaves its client, to this address, which may be that of many. */
void oracle_send_request(const struct volley_addr *to, uint32_t len);
/* One that says to be from somebody who has not sent it: nobody waits for a reply. */
void oracle_send_forged(const struct volley_addr *from, const struct volley_addr *to, uint32_t len);
/* One of no bytes, which has no number. */
void oracle_send_empty(const struct volley_addr *to);
uint32_t oracle_count_requests(void);
/* Those, and the replies that came. */
uint64_t oracle_count_datagrams(void);
/* Of those that were sent last: whose reply has come. */
uint32_t oracle_count_replied(void);

/* The server is among those to whom it sends a reply to this one. */
void oracle_expect_loop(uint32_t id);

/* A callback has got one; returns its number, or UINT32_MAX for nonsense, which is blamed. */
uint32_t oracle_deliver(const struct volley_packet *packet);
/* The number of a request that lies in memory. */
uint32_t oracle_read_request(const void *data, uint32_t len);
/* A reply to request `id`: fill `data`; how long it is. And that it was taken, or not. */
uint32_t oracle_fill_reply(uint32_t id, uint8_t *data, uint32_t n_room);
void oracle_count_reply(uint32_t id);
/*
 * How the reply that lies here shall leave, by chance: what becomes of it is looked at. `may_wait`:
 * or not at all, while others stand in line.
 */
struct volley_send_options oracle_choose_options(const void *data, bool may_wait);
/* What the call said that was given these bytes: 0 is a promise. */
void oracle_end_reply(const void *data, int r);
/* These bytes go to nobody. */
void oracle_set_stray(const void *data);
/* The same for bytes that are none of the oracle's, and must not be sent. */
void oracle_end_refused(int r);
void oracle_count_empty(void);
bool oracle_is_forged(uint32_t id); /* it came from somebody else than it says */
const struct volley_addr *oracle_get_client(uint32_t id);
const struct volley_addr *oracle_get_destination(uint32_t id);

/* No callback runs that the books do not know yet, and nothing is under way. */
bool oracle_has_settled(struct volley_server *server);
/* All sockets of a listener there are bound: from now on a client's requests find the same one. */
void oracle_begin_order(const struct volley_addr *to);
/* Several processes serve one socket: none knows what the others have taken before. */
void oracle_forget_order(void);
/* It never has, and should have: this is what is wrong. */
void oracle_judge_unsettled(struct volley_server *server);

#endif
