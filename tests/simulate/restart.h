/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_RESTART_H
#define TESTS_SIMULATE_RESTART_H

/*
 * Hot restarts: a chain of processes that replace each other, and are killed, told to end, and put
 * to sleep meanwhile. A thread's main, of no process.
 */
void *restart_main(void *arg);

#endif
