/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_FAULT_H
#define TESTS_SIMULATE_FAULT_H

#include <stdint.h>

/* Of a million calls of each kind, so many fail. All zero: none. */
struct fault_plan {
	uint32_t data;    /* of those that move datagrams */
	uint32_t control; /* of all others */
	uint32_t memory;
};
extern struct fault_plan fault_plan;

/* How many have failed since the world began. */
uint32_t fault_count(void);
void fault_begin(void);

#endif
