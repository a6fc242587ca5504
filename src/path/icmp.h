/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_ICMP_H
#define VLY_PATH_ICMP_H

#include "path/worker.h"

/*
 * Take in what the network reported about earlier replies of a listener with
 * VOLLEY_LISTEN_REPORT_ERRORS; nothing for others. The worker's thread.
 */
void vly_icmp_drain(struct volley_worker *worker, struct vly_sock *sock);

/*
 * The same where there was nothing to receive. A socket that somebody else may hold is looked at
 * although nobody asked here: what that one has switched on fills the queue, and a queue that is
 * not empty wakes whoever waits for the socket. Returns whether there was a report.
 */
bool vly_icmp_take_idle(struct volley_worker *worker, struct vly_sock *sock);

/*
 * Tell the user of those that were met while something was sent: between two callbacks, for what
 * sends may be one itself. The worker's thread.
 */
void vly_icmp_process(struct volley_worker *worker);

static inline bool vly_icmp_has_reports(const struct volley_worker *worker)
{
	return worker->icmp.n_reports > 0;
}

/* Whether they are only counted: after the user's last hook nobody calls the user. */
void vly_icmp_set_silent(struct volley_worker *worker, bool is_silent);

/* vly_io_send(), but an error that was pending for another datagram does not count. */
int vly_icmp_send(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *tx,
		  const uint16_t *heads, uint32_t n);

#endif
