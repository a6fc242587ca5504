/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_TIMERS_H
#define TESTS_SIMULATE_TIMERS_H

/*
 * The program's timers, and what the header says of them: none is early, late beyond bounds, fires
 * twice, or after it was cleared; none comes inside another callback.
 */

#include "play.h"

void timers_begin(struct play *play);

/* Around whatever the library calls on a worker's thread; handlers' callbacks are not. */
void timers_enter(struct volley_worker *worker);
void timers_leave(struct volley_worker *worker);

/* In there: set, move and clear some. In on_start, on_stop, and where packets are served. */
enum timers_place { TIMERS_START, TIMERS_SERVE, TIMERS_ANY, TIMERS_STOP };
void timers_use(struct volley_worker *worker, enum timers_place place);

/* One of libevent's on the worker's loop, which sends, and is the worker's data. */
void timers_add_event(struct volley_worker *worker);

/* It is no worker's thread. */
void timers_misuse(struct volley_worker *worker, int wanted);

/* All that had their time have fired, while there was nothing else to wake anybody. */
void timers_judge(void);

/* No worker runs any more. */
void timers_end(void);

#endif
