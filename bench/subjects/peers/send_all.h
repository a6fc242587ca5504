/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SEND_ALL_H
#define BENCH_SEND_ALL_H

#include <stdint.h>
#include <sys/socket.h>

#include "subjects/peer.h"

/* Send n messages by sendmmsg. A message that the kernel refuses is counted and skipped. */
static inline void bench_send_all(struct bench_loop *loop, int fd, struct mmsghdr *msgs, uint32_t n)
{
	uint32_t done = 0;

	while (done < n) {
		int r = sendmmsg(fd, msgs + done, n - done, 0);

		loop->counters->n_send_calls++;
		if (r <= 0) {
			loop->counters->n_failed++;
			r = 1; /* exactly one message is at fault */
		}
		done += (uint32_t)r;
	}
}

#endif
