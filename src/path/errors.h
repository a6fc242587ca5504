/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_ERRORS_H
#define VLY_PATH_ERRORS_H

#include "path/worker.h"

/*
 * Take in what the network reported about earlier answers of a listener with `report_errors`;
 * nothing for others. The worker's thread.
 */
void vly_errors_drain(struct volley_worker *worker, struct vly_port *port);

/* vly_io_send(), but an error that was pending for another datagram does not count. */
int vly_errors_send(struct volley_worker *worker, struct vly_port *port, const struct vly_tx *tx,
		    const uint16_t *heads, uint32_t n);

#endif
