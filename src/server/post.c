/* SPDX-License-Identifier: MIT */

/* Posts: the user's function on every worker, between two volleys. */

#include <errno.h>

#include <volley/worker.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/state.h"
#include "worker/presence.h"

static struct vly_post *new_post(struct volley_server *server, volley_worker_fn fn, void *arg)
{
	struct vly_post *post = vly_mem_new(server->shared.config.allocator, 1, sizeof *post);

	if (post != NULL)
		*post = (struct vly_post){ .fn = fn, .arg = arg };
	return post;
}

/*
 * A stop under way ends posting at once, or those who post in a loop could keep the workers from
 * the lock that they need to leave.
 */
static bool takes_posts(const struct volley_server *server) VLY_REQUIRES(server->shared.lock)
{
	if (server->state != VLY_SERVER_RUNNING ||
	    vly_shared_get_command(&server->shared) != VLY_COMMAND_RUN)
		return false;
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		const struct volley_worker *worker = &server->workers[i];

		vly_lock_assume(&worker->shared->lock);
		if (!vly_presence_is_open(worker))
			return false;
	}
	return true;
}

int volley_server_post(struct volley_server *server, volley_worker_fn fn, void *arg)
{
	struct vly_post **posts;
	uint32_t n;
	int r;

	if (server == NULL)
		return -EINVAL;
	if (fn == NULL) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "post: fn is NULL: pass the function that shall run");
		return -EINVAL;
	}
	n = server->shared.config.n_workers;
	if (!vly_process_is_here(&server->shared.process))
		return -ESRCH;
	posts = vly_mem_new(server->shared.config.allocator, n, sizeof(void *));
	r = posts != NULL ? 0 : -ENOMEM;
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		posts[i] = new_post(server, fn, arg);
		if (posts[i] == NULL)
			r = -ENOMEM;
	}
	vly_lock_take(&server->shared.lock);
	if (r >= 0 && !takes_posts(server))
		r = -ESHUTDOWN;
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		vly_mail_push(&server->workers[i].mail, &posts[i]->node, VLY_MAIL_POST);
	vly_lock_give(&server->shared.lock);
	for (uint32_t i = 0; r < 0 && posts != NULL && i < n; i++)
		vly_mem_free(posts[i]);
	vly_mem_free(posts);
	return r;
}
