/* SPDX-License-Identifier: MIT */

/*
 * The statistics: what the workers published for each socket (path/ledger.c), completed by what
 * other threads did and by what only the kernel knows, and summed: over a worker's sockets, over a
 * listener's, over all. So the sums agree whenever one looks.
 */

#include "server/stats.h"

#include <errno.h>

#include <volley/handover.h>

#include "base/opts.h"
#include "path/listener.h"
#include "path/remote.h"
#include "server/handover/sharers.h"
#include "server/listeners.h"

void vly_stats_add_own(const struct volley_worker *worker, struct volley_stats *stats)
{
	vly_ledger_add_calls(&worker->books, stats);
	stats->memory_bytes = worker->memory_bytes;
}

void vly_stats_read(struct volley_server *server, uint32_t worker_index,
		    struct volley_stats *ret_stats)
{
	struct volley_worker *worker = &server->workers[worker_index];
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	struct volley_stats part;

	vly_lock_assume(&worker->shared->lock);
	vly_remote_read_gone(worker, ret_stats);
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index)) {
		vly_remote_read_stats(worker, sock, &part);
		vly_ledger_add(ret_stats, &part);
	}
	vly_stats_add_own(worker, ret_stats);
}

/*
 * The size in the first release, as a number: a program that was built against it says so for ever.
 * Until then it follows the struct; from then on it stays, and the assert becomes <=.
 */
enum { MIN_STATS_SIZE = 744 };
static_assert(MIN_STATS_SIZE == sizeof(struct volley_stats), "before the first release");

void volley_stats_init(struct volley_stats *stats, size_t size)
{
	vly_opts_init(stats, size);
}

int volley_server_get_worker_stats(struct volley_server *server, uint32_t worker_index,
				   struct volley_stats *ret_stats)
{
	struct volley_stats stats;

	if (server == NULL || worker_index >= server->shared.config.n_workers)
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return -ESRCH;
	vly_lock_take(&server->shared.lock);
	vly_stats_read(server, worker_index, &stats);
	vly_lock_give(&server->shared.lock);
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &stats, sizeof stats);
}

void vly_stats_sum(struct volley_server *server, struct volley_stats *ret_sum)
{
	struct volley_stats stats;

	*ret_sum = server->carried;
	ret_sum->size = sizeof *ret_sum;
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		vly_stats_read(server, i, &stats);
		vly_ledger_add(ret_sum, &stats);
	}
}

int volley_server_get_stats(struct volley_server *server, struct volley_stats *ret_stats)
{
	struct volley_stats sum;

	if (server == NULL)
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return -ESRCH;
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	vly_stats_sum(server, &sum);
	vly_lock_give(&server->shared.lock);
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &sum, sizeof sum);
}

int volley_server_get_carried_stats(struct volley_server *server, struct volley_stats *ret_stats)
{
	struct volley_stats carried;

	if (server == NULL)
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return -ESRCH;
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	carried = server->carried;
	vly_lock_give(&server->shared.lock);
	carried.size = sizeof carried;
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &carried, sizeof carried);
}

void vly_stats_read_gone(const struct vly_listener *listener, struct volley_stats *ret_sum)
{
	struct volley_stats part;

	*ret_sum = (struct volley_stats){ .size = sizeof *ret_sum };
	for (struct vly_sock *sock = listener->gone; sock != NULL;
	     sock = vly_socks_get_next(sock)) {
		vly_remote_read_last(sock, &part);
		vly_ledger_add(ret_sum, &part);
	}
}

static void sum_up(struct volley_server *server, const struct vly_listener *listener,
		   struct volley_stats *ret_sum) VLY_REQUIRES(server->shared.lock)
{
	struct volley_stats part;

	vly_stats_read_gone(listener, ret_sum);
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		struct volley_worker *worker = &server->workers[i];
		struct vly_sock *sock = vly_socks_get_first(&worker->socks, listener->index);

		vly_lock_assume(&worker->shared->lock);
		for (; sock != NULL; sock = vly_socks_get_next(sock)) {
			vly_remote_read_stats(worker, sock, &part);
			vly_ledger_add(ret_sum, &part);
		}
	}
}

int volley_listener_get_stats(struct volley_server *server, struct volley_listener listener,
			      struct volley_stats *ret_stats)
{
	const struct vly_listener *found;
	struct volley_stats sum;

	if (server == NULL || ret_stats == NULL)
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return -ESRCH;
	vly_lock_take(&server->shared.lock);
	found = vly_listeners_find(server, listener);
	if (found != NULL)
		sum_up(server, found, &sum);
	vly_lock_give(&server->shared.lock);
	if (found == NULL)
		return -ESTALE;
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &sum, sizeof sum);
}
