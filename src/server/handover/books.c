/* SPDX-License-Identifier: MIT */

/* Counters that another process goes on with: those of the one after us, or of the one before. */

#include "server/handover/books.h"

#include "base/mem.h"
#include "server/handover/sharers.h"
#include "server/stats.h"
#include "sys/socket.h"

/* As long as it takes to put a packet into a socket that is rarely full. */
enum { GIVE_BACK_US = 100000 };

/*
 * What is still on its way here will not be counted there, and memory stays.
 */
static void settle_gauges(struct volley_stats *stats)
{
	stats->rx_dropped[VOLLEY_RX_STOPPED] += stats->rx_queued;
	stats->tx_dropped[VOLLEY_TX_STOPPED] += stats->tx_queued;
	stats->held_abandoned += stats->held_now;
	stats->rx_queued = 0;
	stats->tx_queued = 0;
	stats->held_now = 0;
	stats->unread_bytes = 0;
	stats->memory_bytes = 0;
}

void vly_books_fill(struct volley_server *server, struct vly_handover_counters *ret_counters)
{
	ret_counters->n_rx_drops = VOLLEY_RX_N_DROPS;
	ret_counters->n_tx_drops = VOLLEY_TX_N_DROPS;
	ret_counters->n_missing = server->sharers.n_missing;
	vly_stats_sum(server, &ret_counters->stats);
	settle_gauges(&ret_counters->stats);
}

/* The conversation with one that waits for them, or -1. */
static int take_talk(struct volley_server *server)
{
	int fd = -1;

	vly_lock_take(&server->shared.lock);
	for (uint32_t i = 0; fd < 0 && i < server->sharers.n; i++) {
		struct vly_sharer *sharer = &server->sharers.all[i];

		if (!sharer->waits)
			continue;
		fd = sharer->talk_fd;
		sharer->talk_fd = -1;
		sharer->waits = false;
	}
	vly_lock_give(&server->shared.lock);
	return fd;
}

static void give_back(struct volley_server *server, int fd)
{
	struct vly_handover *handover = vly_wire_new(server->shared.config.allocator, fd,
						     GIVE_BACK_US);

	if (handover == NULL)
		return; /* they are missing there, and it says so */
	vly_lock_take(&server->shared.lock);
	vly_books_fill(server, &handover->counters);
	vly_lock_give(&server->shared.lock);
	handover->counters.stats.kernel_drops = 0;
	vly_wire_send(handover, VLY_HANDOVER_BOOKS, 0, &handover->counters,
		      sizeof handover->counters);
	vly_wire_free(handover);
}

void vly_books_give_back(struct volley_server *server)
{
	int fd;

	while ((fd = take_talk(server)) >= 0) {
		give_back(server, fd);
		vly_unix_end(fd);
		vly_socket_close(fd);
	}
}
