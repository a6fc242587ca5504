/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_REPLIES_H
#define TESTS_SIMULATE_REPLIES_H

/* Every reply and send by itself: what was said to it, and whether and when it came. */

#include <stdbool.h>
#include <stdint.h>

struct volley_stats;

void replies_begin(void);
/* A socket may be full: for so long one waits. */
void replies_let_wait(uint64_t ns);
/* The number of one that is about to be given to the library; 0: there are too many to follow. */
uint32_t replies_new(uint32_t id);
/* It goes to nobody who would tell. */
void replies_stray(uint32_t number);
/* The TOS byte that it shall have; 0 unless this was called. */
void replies_set_tos(uint32_t number, uint8_t tos);
/* The library said 0, or why not. */
void replies_end(uint32_t number, int r);
/* When that was; now, where it is not yet, or nobody knows. */
uint64_t replies_get_ns(uint32_t number);
/* One of no bytes, which has no number. */
void replies_take_empty(void);
/* Of one that has no number. */
void replies_refuse(int r);
/* It has come, once. */
void replies_arrive(uint32_t number, uint8_t tos);
/* All that is under way has come: what was taken and did not is under a name in the books. */
void replies_judge(const struct volley_stats *stats);

#endif
