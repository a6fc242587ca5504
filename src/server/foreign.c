/* SPDX-License-Identifier: MIT */

/*
 * What threads that are none of the server's ask of it: sends, and replies to held packets. A copy
 * goes to one worker (path/remote.c), for sends always the same for one peer, so that what a thread
 * sends to a peer keeps its order.
 */

#include <errno.h>

#include <volley/held.h>
#include <volley/send.h>

#include "base/log.h"
#include "path/held.h"
#include "path/packet.h"
#include "path/remote.h"
#include "path/route.h"
#include "server/listeners.h"
#include "server/state.h"
#include "sys/addr.h"

/* Sends ---------------------------------------------------------------------------------------- */

/* Who sends it and how. */
struct sender {
	struct volley_worker *worker;
	struct vly_route route;
};

/*
 * The worker that sends to a peer through a listener, the same one each time; one without a socket
 * of that listener is passed over.
 */
static int choose(struct volley_server *server, struct volley_listener listener,
		  struct sender *sender) VLY_REQUIRES(server->shared.lock)
{
	uint32_t n = server->shared.config.n_workers;
	uint32_t first = vly_addr_pick(&sender->route.peer, n);

	for (uint32_t i = 0; i < n; i++) {
		struct volley_worker *worker = &server->workers[(first + i) % n];

		vly_lock_assume(&worker->shared->lock);
		if (vly_route_find_sock(worker, listener, &sender->route) < 0)
			continue;
		sender->worker = worker;
		return 0;
	}
	return -ESTALE;
}

/* Under the lock, because listeners come and go. */
static int find_sender(struct volley_server *server, struct volley_listener listener,
		       const struct volley_addr *peer, const struct volley_send_options *options,
		       struct sender *ret_sender)
{
	const struct vly_listener *found;
	int r = 0;

	vly_lock_take(&server->shared.lock);
	found = vly_listeners_find(server, listener);
	if (server->state != VLY_SERVER_RUNNING)
		r = -ESHUTDOWN;
	else if (found == NULL)
		r = -ESTALE;
	else
		r = vly_route_find(found, peer, options, &ret_sender->route);
	if (r >= 0)
		r = choose(server, listener, ret_sender);
	vly_lock_give(&server->shared.lock);
	return r;
}

int volley_server_send(struct volley_server *server, struct volley_listener listener,
		       const struct volley_addr *peer, const void *data, size_t len,
		       const struct volley_send_options *options)
{
	struct sender sender;
	int r = -ESRCH;

	if (server == NULL)
		return -EINVAL;
	if (peer == NULL || (data == NULL && len > 0)) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "send: %s is NULL: pass the address to send to, and a payload unless "
			      "it is empty",
			      peer == NULL ? "peer" : "data");
		return -EINVAL;
	}
	if (vly_process_is_here(&server->shared.process))
		r = find_sender(server, listener, peer, options, &sender);
	if (r < 0)
		return r;
	vly_route_check_own(sender.worker, &sender.route);
	return vly_remote_send(sender.worker, &sender.route, data, len);
}

/* Held packets --------------------------------------------------------------------------------- */

/* The worker that a token names: 0, or -errno. A forked child holds nothing. */
static int find_worker(struct volley_server *server, struct volley_held held,
		       struct volley_worker **ret_worker)
{
	uint32_t worker_index = vly_held_get_worker_index(held);

	if (server == NULL)
		return -EINVAL;
	if (worker_index >= server->shared.config.n_workers ||
	    !vly_process_is_here(&server->shared.process))
		return -ESTALE;
	*ret_worker = &server->workers[worker_index];
	return 0;
}

int volley_held_release(struct volley_server *server, struct volley_held held)
{
	struct volley_worker *worker = NULL;
	int r = find_worker(server, held, &worker);

	return r >= 0 ? vly_held_release(worker, held) : r;
}

int volley_held_get_payload(struct volley_server *server, struct volley_held held, void *data,
			    size_t n)
{
	struct volley_worker *worker = NULL;
	int r = find_worker(server, held, &worker);

	return r >= 0 ? vly_held_get_payload(worker, held, data, n) : r;
}

int volley_held_reply_with(struct volley_server *server, struct volley_held held, const void *data,
			   size_t len, const struct volley_send_options *options)
{
	struct volley_worker *worker = NULL;
	int r = data != NULL || len == 0 ? find_worker(server, held, &worker) : -EINVAL;

	return r >= 0 ? vly_held_reply(worker, held, data, len, options) : r;
}

int volley_held_reply(struct volley_server *server, struct volley_held held, const void *data,
		      size_t len)
{
	return volley_held_reply_with(server, held, data, len, NULL);
}
