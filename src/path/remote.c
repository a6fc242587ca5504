/* SPDX-License-Identifier: MIT */

/*
 * What other threads want of a worker: answers to packets that are held for them (held.c), and
 * datagrams to send (send.c). All of it goes through one lock a worker, which is held for moments,
 * and then through the worker's inbox like everything else that comes from outside.
 *
 *     any thread: send, reply -> buffer -> inbox -> worker -> kernel or backlog -> free again
 *
 * A lock and not atomics, because a request must be judged, counted and handed over as one step:
 * what is on its way is in exactly one of the ledger's places at every moment, whoever looks. The
 * worker's own path never takes it but to give buffers back.
 *
 * After vly_remote_close() nothing is taken any more, so the inbox stays empty of ours.
 */

#include <errno.h>
#include <string.h>

#include "path/held.h"
#include "path/outbox.h"
#include "path/remote.h"
#include "path/worker.h"
#include "server/server.h"
#include "sys/clock.h"

/* Payloads beyond a jumbo frame are rare, and 65,536 bytes each. */
enum { N_LARGE = 16 };

int vly_remote_init(struct volley_worker *worker)
{
	struct vly_remote *remote = &worker->remote;
	const struct volley_config *config = &worker->server->config;
	uint32_t n = config->n_held + config->n_backlog;
	const uint32_t n_buffers[VLY_BUFFERS_N_CLASSES] = { n, n, N_LARGE };

	vly_lock_init(&remote->lock);
	remote->has_lock = true;
	remote->buffers = vly_buffers_new(config->allocator, n_buffers);
	if (remote->buffers == NULL)
		return -ENOMEM;
	/* So that a token of another server, or of an earlier run of the program, is stale here. */
	remote->seed = (uint32_t)(vly_clock_now_ns() * UINT64_C(0x9e3779b97f4a7c15) >> 32);
	for (uint32_t i = 0; i < VLY_BUFFERS_N_CLASSES; i++)
		worker->memory_bytes += (uint64_t)n_buffers[i] * vly_buffers_class_bytes[i];
	return 0;
}

void vly_remote_fini(struct volley_worker *worker)
{
	if (!worker->remote.has_lock)
		return;
	vly_buffers_free(worker->remote.buffers);
	vly_lock_fini(&worker->remote.lock);
}

void vly_remote_open(struct volley_worker *worker)
{
	vly_lock_take(&worker->remote.lock);
	worker->remote.open = true;
	vly_lock_give(&worker->remote.lock);
}

void vly_remote_close(struct volley_worker *worker)
{
	vly_lock_take(&worker->remote.lock);
	worker->remote.open = false;
	vly_held_abandon(&worker->remote);
	vly_lock_give(&worker->remote.lock);
}

int vly_remote_refuse(struct vly_remote *remote, enum volley_tx_drop reason, int error)
{
	remote->counts.tx_requested++;
	remote->counts.tx_dropped[reason]++;
	return error;
}

void vly_remote_post(struct volley_worker *worker, struct vly_buffer *buffer, const void *data,
		     uint32_t len)
{
	if (len > 0)
		memcpy(buffer->data, data, len);
	buffer->pool = VLY_POOL_REMOTE;
	buffer->answer = buffer->data;
	buffer->answer_len = len;
	buffer->node.kind = VLY_MAIL_SEND;
	worker->remote.n_posted++;
	worker->remote.n_sending++;
	vly_worker_push(worker, &buffer->node);
}

void vly_remote_take(struct volley_worker *worker, struct vly_buffer *buffer)
{
	worker->counts.tx_requested++;
	worker->counts.tx_foreign++;
	if (worker->ports[buffer->listener].fd >= 0) {
		vly_outbox_add(worker, buffer);
		return;
	}
	worker->counts.tx_dropped[VOLLEY_TX_STOPPED]++; /* its listener was closed meanwhile */
	buffer->node.next = NULL;
	vly_remote_put(worker, &buffer->node);
}

void vly_remote_put(struct volley_worker *worker, struct vly_inbox_node *sent)
{
	struct vly_remote *remote = &worker->remote;

	vly_lock_take(&remote->lock);
	while (sent != NULL) {
		struct vly_buffer *buffer = VLY_CONTAINER_OF(sent, struct vly_buffer, node);

		sent = sent->next;
		vly_buffers_put(remote->buffers, buffer);
		remote->n_sending--;
	}
	vly_lock_give(&remote->lock);
}

/*
 * What was posted and is not in the worker's published counters yet is on its way: requested and
 * queued. `stats` was published before we look, so the difference is never negative.
 */
void vly_remote_add_stats(struct vly_remote *remote, struct volley_stats *stats)
{
	uint64_t n_under_way;

	vly_lock_take(&remote->lock);
	n_under_way = remote->n_posted - stats->tx_foreign;
	vly_stats_add(stats, &remote->counts);
	vly_lock_give(&remote->lock);
	stats->tx_requested += n_under_way;
	stats->tx_queued += n_under_way;
}
