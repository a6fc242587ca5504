/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_ASK_H
#define TESTS_SIMULATE_ASK_H

/* What is asked of a listener, and as whom: most requests are plain ones, some are not. */

#include "play.h"

/* What this world has, by chance. */
void ask_begin(void);

/* Listener i may be bound to an address of many, or send to one. */
void ask_dress(uint32_t i, struct volley_listen_config *listen, char *text, size_t n);

/* What a callback sends by itself to all on the link, which may be itself. */
void ask_call_all(struct play *play, struct volley_worker *worker);

/* A request for listener i, or what somebody takes for one. */
void ask(struct play *play, uint32_t i, uint32_t len);

/* Join or leave a group. */
void ask_join(struct play *play);

#endif
