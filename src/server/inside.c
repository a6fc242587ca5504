/* SPDX-License-Identifier: MIT */

/* The threads of a server know each other by their numbers. */

#include "server/inside.h"
#include "path/handlers.h"
#include "server/state.h"

bool vly_inside_is_worker(const struct volley_server *server)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		if (vly_self_is_me(&server->workers[i].self) ||
		    vly_handlers_has_me(&server->workers[i]))
			return true;
	return false;
}

bool vly_inside_is_any(const struct volley_server *server)
{
	return vly_inside_is_worker(server) ||
	       atomic_load_explicit(&server->run_thread, memory_order_relaxed) ==
		       vly_thread_get_id();
}
