/* SPDX-License-Identifier: MIT */

/* What the wait strategy "fd" gives to the outside: a descriptor, a deadline, and a pass. */

#include <errno.h>

#include <volley/loop.h>

#include "server/state.h"
#include "worker/loop_fd.h"
#include "worker/turn.h"

static struct volley_worker *get_worker(struct volley_server *server)
{
	return server != NULL && server->shared.config.wait == VOLLEY_WAIT_FD ? &server->workers[0]
									      : NULL;
}

int volley_server_get_fd(struct volley_server *server)
{
	struct volley_worker *worker = get_worker(server);

	return worker != NULL ? vly_loop_fd_get(worker) : -EINVAL;
}

int64_t volley_server_get_timeout_ns(struct volley_server *server)
{
	struct volley_worker *worker = get_worker(server);

	if (worker == NULL || !vly_process_is_here(&server->shared.process))
		return -1;
	return vly_turn_get_timeout(worker);
}

int volley_server_process(struct volley_server *server)
{
	struct volley_worker *worker = get_worker(server);

	if (worker == NULL)
		return -EINVAL;
	return vly_process_is_here(&server->shared.process) ? vly_turn_process(worker) : -ESRCH;
}
