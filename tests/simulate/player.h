/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_PLAYER_H
#define TESTS_SIMULATE_PLAYER_H

/* The program that embeds the library: plays the whole public API, by chance. A thread's main. */
void *player_main(void *arg);

#endif
