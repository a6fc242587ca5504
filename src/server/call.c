/* SPDX-License-Identifier: MIT */

/*
 * An errand for every worker: how a change of the listeners reaches the threads that use them.
 *
 * While workers run it travels as mail and is done between two volleys. When they have no thread,
 * or are about to lose it (they take no mail of this kind then), the caller waits until the last
 * one has left and does it itself. Which of the two is decided for all workers at once, under the
 * shared lock. Starting is out of the question meanwhile, for that takes `listening` too.
 *
 * Where the loop is the caller's there are no threads, and the caller takes the worker's turn.
 */

#include "server/call.h"
#include "server/state.h"
#include "worker/loop.h"
#include "worker/presence.h"
#include "worker/turn.h"

static bool has_present(const struct volley_server *server) VLY_REQUIRES(server->shared.lock)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		const struct volley_worker *worker = &server->workers[i];

		vly_lock_assume(&worker->shared->lock);
		if (vly_presence_is_here(worker))
			return true;
	}
	return false;
}

/* True when every worker has got it. */
static bool send_all(struct volley_server *server, struct vly_round *round)
	VLY_REQUIRES(server->shared.lock)
{
	uint32_t n = server->shared.config.n_workers;

	for (uint32_t i = 0; i < n; i++) {
		const struct volley_worker *worker = &server->workers[i];

		vly_lock_assume(&worker->shared->lock);
		if (!vly_presence_is_open(worker))
			return false;
	}
	round->n_left = n;
	for (uint32_t i = 0; i < n; i++) {
		struct volley_worker *worker = &server->workers[i];

		vly_lock_assume(&worker->shared->lock);
		vly_errand_send(worker, round);
	}
	return true;
}

int vly_call_run(struct volley_server *server, vly_errand_fn fn, void *arg)
{
	struct vly_round round = { .fn = fn, .arg = arg };
	bool sent;

	if (!vly_loop_has_thread(&server->shared.config))
		return vly_turn_run(&server->workers[0], fn, arg);
	vly_lock_take(&server->shared.lock);
	sent = send_all(server, &round);
	while (sent ? round.n_left > 0 : has_present(server))
		vly_cond_wait(&server->shared.changed, &server->shared.lock);
	vly_lock_give(&server->shared.lock);
	for (uint32_t i = 0; !sent && i < server->shared.config.n_workers; i++) {
		int r = fn(&server->workers[i], arg);

		if (r < 0)
			round.result = r;
	}
	return round.result;
}

bool vly_call_has_thread(struct volley_server *server)
{
	bool has;

	vly_lock_take(&server->shared.lock);
	has = has_present(server);
	vly_lock_give(&server->shared.lock);
	return has;
}
