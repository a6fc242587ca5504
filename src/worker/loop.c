/* SPDX-License-Identifier: MIT */

/* Which loop serves which wait strategy. Only the server asks. */

#include "worker/loop.h"
#include "worker/loop_base.h"
#include "worker/loop_block.h"
#include "worker/loop_event.h"
#include "worker/loop_fd.h"
#include "worker/loop_ops.h"
#include "worker/loop_spin.h"

static const struct vly_loop_ops *const loops[] = {
	[VOLLEY_WAIT_EVENT] = &vly_loop_event_ops,
	[VOLLEY_WAIT_BLOCK] = &vly_loop_block_ops,
	[VOLLEY_WAIT_SPIN] = &vly_loop_spin_ops,
	[VOLLEY_WAIT_FD] = &vly_loop_fd_ops,
};

const struct vly_loop_ops *vly_loop_pick(const struct volley_config *config)
{
	return config->event_base != NULL ? &vly_loop_base_ops : loops[config->wait];
}

bool vly_loop_has_thread(const struct volley_config *config)
{
	return vly_loop_pick(config)->run != NULL;
}
