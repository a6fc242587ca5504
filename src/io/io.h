/* SPDX-License-Identifier: MIT */
#ifndef VLY_IO_IO_H
#define VLY_IO_IO_H

/*
 * The I/O layer as the layers above see it: one object per worker that moves datagrams between its
 * sockets and memory. Backends are siblings behind one table (io_ops.h); they never know which one
 * it has.
 *
 * Everything here is for the worker's thread, or for the control thread while the worker does not
 * run.
 */

#include <stdbool.h>
#include <stdint.h>

#include "data/slots.h"
#include "io/message.h"
#include "sys/probe.h"

struct vly_io;

/*
 * The name of the first backend called `name` ("auto" and NULL: any) of which the system refuses
 * nothing, or NULL. Whether there is one or not, *ret_refused is what the first choice was refused,
 * or VLY_PROBE_N.
 */
const char *vly_io_pick(const char *name, const struct vly_probe *probe,
			enum vly_probe_call *ret_refused);

/*
 * Open the backend called `name` ("auto" and NULL: the first) for one worker, receiving into
 * `slots`. Returns 0, -EINVAL for an unknown name, or -ENOMEM.
 */
int vly_io_open(const char *name, struct vly_slots *slots, struct vly_io **ret_io);
void vly_io_close(struct vly_io *io);

/* The name of an opened backend, and whether `name` is one of the names vly_io_open() takes. */
const char *vly_io_get_name(const struct vly_io *io);
bool vly_io_is_name(const char *name);

/* System calls made so far. */
uint64_t vly_io_get_rx_syscalls(const struct vly_io *io);
uint64_t vly_io_get_tx_syscalls(const struct vly_io *io);

/* Make a socket known under an index. It stays the caller's. 0 or -errno. */
int vly_io_attach(struct vly_io *io, uint32_t sock_index, const struct vly_io_sock *sock);
void vly_io_detach(struct vly_io *io, uint32_t sock_index);

/*
 * Receive up to n messages of one socket into slots 0 to n - 1. Returns how many, 0 when there was
 * none, or -errno. With `wait`, sleeps for the first one: a cancellation point (-ECANCELED).
 */
int vly_io_recv(struct vly_io *io, uint32_t sock_index, uint32_t n, bool wait);

/*
 * Send messages by one socket: heads[i] is the entry of tx that message i starts with. Returns how
 * many were accepted, at least 1, or the -errno of the first one, which then is the only one at
 * fault. Never sleeps.
 */
int vly_io_send(struct vly_io *io, uint32_t sock_index, const struct vly_tx *tx,
		const uint16_t *heads, uint32_t n);

#endif
