/* SPDX-License-Identifier: MIT */

/*
 * The threads of a server know each other by their numbers, and its process by a mark.
 *
 * A forked child has a copy of memory and descriptors, and neither the threads nor the right to
 * anything: what is behind the descriptors is what the server at home works with, and a lock that a
 * thread held at the moment of the fork is held for good. So each call that would take a lock or
 * touch what a descriptor stands for asks first: by vly_inside_check_home(), or, where it may be
 * called for a datagram, by vly_process_is_here(). What is left is vly_closing_leave().
 */

#include "server/inside.h"

#include <errno.h>

#include "base/log.h"
#include "path/handlers.h"
#include "server/state.h"

bool vly_inside_is_worker(const struct volley_server *server)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		if (vly_handlers_is_inside(&server->workers[i]))
			return true;
	return false;
}

bool vly_inside_is_any(const struct volley_server *server)
{
	return vly_inside_is_worker(server) ||
	       atomic_load_explicit(&server->run_thread, memory_order_relaxed) ==
		       vly_thread_get_id();
}

bool vly_inside_is_home(const struct volley_server *server)
{
	return vly_process_is_home(&server->shared.process);
}

int vly_inside_check_home(const struct volley_server *server, const char *what)
{
	if (server == NULL)
		return -EINVAL;
	if (vly_inside_is_home(server))
		return 0;
	vly_log_write(
		&server->shared.config, VOLLEY_LOG_ERROR,
		"%s: this process was forked after the server was made: make the server "
		"after fork() or daemon(); here it can only be closed and freed, which leaves "
		"the server of the other process alone",
		what);
	return -ESRCH;
}
