/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_STORM_H
#define TESTS_SIMULATE_STORM_H

/*
 * What is well for a while and then is not, for some milliseconds: the device's queue is full, or
 * slow, the card takes no segments, the path is narrow, addresses and links go, descriptors or
 * memory run out, somebody forges ICMP.
 */

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"

struct storm {
	bool is_full;           /* the queue of the device */
	uint64_t slow_until_ns; /* until then nothing leaves a send buffer */
	int segments;           /* the errno for several segments in one message; 0: none */
	uint32_t path_mtu;      /* beyond the first link; 0: as that */
};
extern struct storm storm;

/* By chance, in a world where this process lives. */
void storm_begin(struct process *process);
/* All is well, and stays so. */
void storm_end(void);
/* Whether what was sent may have waited for a device, and for the next try behind that. */
bool storm_may_delay(void);
/* Whether datagrams of the host may have been lost on the way. */
bool storm_may_lose(void);
/* Whether addresses of the host have ever gone. */
bool storm_has_moved(void);

#endif
