/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_POST_H
#define VLY_SERVER_POST_H

#include "server/state.h"

/*
 * Whether n workers, from `first` on, take what is posted. A stop under way ends posting at once,
 * or those who post in a loop could keep the workers from the lock that they need to leave.
 */
bool vly_post_is_open(const struct volley_server *server, uint32_t first, uint32_t n)
	VLY_REQUIRES(server->shared.lock);

#endif
