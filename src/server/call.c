/* SPDX-License-Identifier: MIT */

/*
 * A function for every worker, with an answer: how a change of the listeners reaches the threads
 * that use them.
 *
 * While workers run it travels as a post and runs between two volleys. When they have no thread,
 * or are about to lose it (they take no more posts then), the caller waits until the last one has
 * left and runs it itself. Which of the two is decided for all workers at once, under the server's
 * lock. Starting is out of the question meanwhile, for that takes `listening` too.
 *
 * Where the loop is the caller's there are no threads, and the caller takes the worker's turn.
 */

#include "server/call.h"
#include "path/worker.h"
#include "server/server.h"
#include "worker/loop.h"
#include "worker/turn.h"

struct call {
	vly_call_fn fn;
	void *arg;
	/* the server's lock */
	uint32_t n_left;
	int result;
};

static void run_one(struct volley_worker *worker, void *arg)
{
	struct volley_server *server = worker->server;
	struct call *call = arg;
	int r = call->fn(worker, call->arg);

	vly_lock_take(&server->lock);
	if (r < 0)
		call->result = r;
	if (--call->n_left == 0)
		vly_cond_wake(&server->changed);
	vly_lock_give(&server->lock);
}

/* With the lock. */
static bool test_any(const struct volley_server *server, bool closed)
{
	for (uint32_t i = 0; i < server->config.n_workers; i++) {
		const struct volley_worker *worker = &server->workers[i];

		if (closed ? !worker->present || worker->closed : worker->present)
			return true;
	}
	return false;
}

/* With the lock: true when every worker has got the post. */
static bool post_all(struct volley_server *server, struct call *call)
{
	if (test_any(server, true))
		return false;
	call->n_left = server->config.n_workers;
	for (uint32_t i = 0; i < server->config.n_workers; i++) {
		struct vly_post *post = &server->workers[i].call;

		*post = (struct vly_post){ .fn = run_one, .arg = call, .permanent = true };
		vly_worker_post(&server->workers[i], post);
	}
	return true;
}

static int run_in_turn(struct volley_worker *worker, vly_call_fn fn, void *arg)
{
	int r;

	vly_turn_take(worker);
	r = fn(worker, arg);
	if (worker->state == VLY_WORKER_RUNNING)
		vly_loop_arm(worker);
	vly_turn_give(worker);
	return r;
}

int vly_call_run(struct volley_server *server, vly_call_fn fn, void *arg)
{
	struct call call = { .fn = fn, .arg = arg };
	bool posted;

	if (vly_loop_is_callers(&server->config))
		return run_in_turn(&server->workers[0], fn, arg);
	vly_lock_take(&server->lock);
	posted = post_all(server, &call);
	while (posted ? call.n_left > 0 : test_any(server, false))
		vly_cond_wait(&server->changed, &server->lock);
	vly_lock_give(&server->lock);
	for (uint32_t i = 0; !posted && i < server->config.n_workers; i++) {
		int r = fn(&server->workers[i], arg);

		if (r < 0)
			call.result = r;
	}
	return call.result;
}

bool vly_call_test_running(struct volley_server *server)
{
	bool running;

	vly_lock_take(&server->lock);
	running = test_any(server, false);
	vly_lock_give(&server->lock);
	return running;
}
