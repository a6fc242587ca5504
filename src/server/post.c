/* SPDX-License-Identifier: MIT */

/* Posts: the user's function on every worker, or on one, between two volleys. */

#include "server/post.h"

#include <errno.h>

#include <volley/worker.h>

#include "base/log.h"
#include "base/mem.h"
#include "worker/presence.h"

static struct vly_post *new_post(struct volley_server *server, volley_worker_fn fn, void *arg)
{
	struct vly_post *post = vly_mem_new(server->shared.config.allocator, 1, sizeof *post);

	if (post != NULL)
		*post = (struct vly_post){ .fn = fn, .arg = arg };
	return post;
}

bool vly_post_is_open(const struct volley_server *server, uint32_t first, uint32_t n)
{
	if (server->state != VLY_SERVER_RUNNING ||
	    vly_shared_get_command(&server->shared) >= VLY_COMMAND_DRAIN)
		return false;
	for (uint32_t i = first; i < first + n; i++) {
		const struct volley_worker *worker = &server->workers[i];

		vly_lock_assume(&worker->shared->lock);
		if (!vly_presence_is_open(worker))
			return false;
	}
	return true;
}

static int check(struct volley_server *server, const char *what, volley_worker_fn fn)
{
	if (server == NULL)
		return -EINVAL;
	if (fn == NULL) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "%s: fn is NULL: pass the function that shall run", what);
		return -EINVAL;
	}
	return vly_process_is_here(&server->shared.process) ? 0 : -ESRCH;
}

/* To workers `first` to first + n - 1: to all of them or to none, for memory comes first. */
static int post(struct volley_server *server, uint32_t first, uint32_t n, struct vly_post **posts)
{
	int r = 0;

	vly_lock_take(&server->shared.lock);
	if (!vly_post_is_open(server, first, n))
		r = -ESHUTDOWN;
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		vly_mail_push(&server->workers[first + i].mail, &posts[i]->node, VLY_MAIL_POST);
	vly_lock_give(&server->shared.lock);
	return r;
}

int volley_server_post(struct volley_server *server, volley_worker_fn fn, void *arg)
{
	struct vly_post **posts;
	uint32_t n;
	int r = check(server, "post", fn);

	if (r < 0)
		return r;
	n = server->shared.config.n_workers;
	posts = vly_mem_new(server->shared.config.allocator, n, sizeof(void *));
	r = posts != NULL ? 0 : -ENOMEM;
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		posts[i] = new_post(server, fn, arg);
		if (posts[i] == NULL)
			r = -ENOMEM;
	}
	if (r >= 0)
		r = post(server, 0, n, posts);
	for (uint32_t i = 0; r < 0 && posts != NULL && i < n; i++)
		vly_mem_free(posts[i]);
	vly_mem_free(posts);
	return r;
}

int volley_server_post_to(struct volley_server *server, uint32_t worker_index, volley_worker_fn fn,
			  void *arg)
{
	struct vly_post *one;
	int r = check(server, "post_to", fn);

	if (r < 0)
		return r;
	if (worker_index >= server->shared.config.n_workers) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "post_to: worker_index is %u, but there are %u workers", worker_index,
			      server->shared.config.n_workers);
		return -EINVAL;
	}
	one = new_post(server, fn, arg);
	r = one != NULL ? post(server, worker_index, 1, &one) : -ENOMEM;
	if (r < 0)
		vly_mem_free(one);
	return r;
}
