/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_HANDOVER_FURTHER_H
#define VLY_SERVER_HANDOVER_FURTHER_H

/*
 * Descriptors of the program's own that go with the sockets. On the old process's side they stay
 * the program's; on the new one's they are in here until the program gets them.
 */

#include <volley/handover.h>

#include "server/handover/wire.h"

struct vly_further {
	uint32_t n;
	int fds[VOLLEY_HANDOVER_N_FDS];
};

/* Old: whether they can be sent. 0; or -EINVAL or -EBADF, after a sentence to the log. */
int vly_further_check(const struct volley_config *config, const int *fds, uint32_t n);

/* New: wait for them. 0, or what vly_wire_recv() returns, and then there are none. */
int vly_further_recv(struct vly_handover *handover, struct vly_further *further);
/* They are the program's from here on, or closed where it has no room for them (NULL). */
void vly_further_give(struct vly_further *further, int *ret_fds, uint32_t *ret_n);
/* What the program did not get. */
void vly_further_close(struct vly_further *further);

#endif
