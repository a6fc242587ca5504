/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_RELAY_H
#define EXAMPLES_RELAY_H

/*
 * A composed cancellable function: receive a batch, change it, send it on. It either fails with
 * -ECANCELED and has taken nothing, or every message it took is counted as sent or as failed.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#define RELAY_BATCH 16

typedef void (*relay_transform_fn)(char *data, size_t len, void *arg);

struct relay {
	int in;  /* datagram socket, bound */
	int out; /* datagram socket, connected */
	relay_transform_fn transform;
	void *arg;
	struct mmsghdr msgs[RELAY_BATCH];
	struct iovec iovs[RELAY_BATCH];
	char data[RELAY_BATCH][2048];
};

struct relay_counts {
	uint64_t n_received;
	uint64_t n_sent;
	uint64_t n_failed; /* refused by the kernel, or no room for 50 ms */
};

void relay_init(struct relay *relay, int in, int out, relay_transform_fn transform, void *arg);

/* One batch. Returns how many were received, or -ECANCELED, or another -errno of the receive. */
int relay_once(struct relay *relay, struct relay_counts *counts);

#endif
