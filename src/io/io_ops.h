/* SPDX-License-Identifier: MIT */
#ifndef VLY_IO_IO_OPS_H
#define VLY_IO_IO_OPS_H

/*
 * For those who write a backend. A backend moves datagrams and nothing else: no callback, policy,
 * log or allocation after open, and it touches no slot beyond those it was asked for.
 */

#include <stdbool.h>

#include "data/slots.h"
#include "io/message.h"
#include "sys/probe.h"

struct vly_io;

struct vly_io_ops {
	const char *name;
	uint32_t needs; /* 1 << enum vly_probe_call: system calls it cannot do without */
	/* All of it: the object with its `ops` unset, or -errno. */
	int (*open)(struct vly_slots *slots, struct vly_io **ret_io);
	int (*attach)(struct vly_io *io, uint32_t sock_index, const struct vly_io_sock *sock);
	void (*detach)(struct vly_io *io, uint32_t sock_index);
	int (*recv)(struct vly_io *io, uint32_t sock_index, uint32_t n, bool wait);
	int (*send)(struct vly_io *io, uint32_t sock_index, const struct vly_tx *tx,
		    const uint16_t *heads, uint32_t n);
	void (*close)(struct vly_io *io);
};

/* The first member of every backend's object. Backends count their system calls for the ledger. */
struct vly_io {
	const struct vly_io_ops *ops;
	uint64_t rx_syscalls;
	uint64_t tx_syscalls;
};

extern const struct vly_io_ops vly_io_mmsg_ops;
extern const struct vly_io_ops vly_io_msg_ops;
extern const struct vly_io_ops vly_io_null_ops;

#endif
