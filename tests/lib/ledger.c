/* SPDX-License-Identifier: MIT */

#include "lib/ledger.h"

#include <errno.h>
#include <stdio.h>

#include <volley/server.h>

static _Thread_local char text[256];

uint64_t ledger_sum(const uint64_t *counts, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += counts[i];
	return sum;
}

static const char *compare(const char *name, uint64_t left, uint64_t right)
{
	if (left == right)
		return NULL;
	snprintf(text, sizeof text, "%s: %llu is not %llu", name, (unsigned long long)left,
		 (unsigned long long)right);
	return text;
}

const char *ledger_find_fault(const struct volley_stats *stats)
{
	uint64_t rx = stats->delivered + ledger_sum(stats->rx_dropped, VOLLEY_RX_N_DROPS) +
		      stats->rx_queued;
	uint64_t held = stats->held_replied + stats->held_released + stats->held_expired +
			stats->held_abandoned + stats->held_now;
	uint64_t tx = stats->tx_sent + ledger_sum(stats->tx_dropped, VOLLEY_TX_N_DROPS) +
		      stats->tx_queued;
	const char *fault = compare("rx_datagrams", stats->rx_datagrams, rx);

	if (fault == NULL)
		fault = compare("held_taken", stats->held_taken, held);
	if (fault == NULL)
		fault = compare("tx_requested", stats->tx_requested, tx);
	if (fault == NULL && stats->rx_messages > stats->rx_datagrams)
		fault = "more messages than datagrams received";
	if (fault == NULL && stats->tx_messages > stats->tx_sent)
		fault = "more messages than datagrams sent";
	if (fault == NULL && stats->rx_batches > stats->rx_syscalls)
		fault = "more volleys than receive calls";
	return fault;
}

const char *ledger_find_server_fault(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };
	const char *fault;

	for (uint32_t i = 0; i < volley_server_get_n_workers(server); i++) {
		if (volley_server_get_worker_stats(server, i, &stats) < 0)
			return "a worker's statistics cannot be read";
		fault = ledger_find_fault(&stats);
		if (fault != NULL)
			return fault;
	}
	if (volley_server_get_stats(server, &stats) < 0)
		return "the statistics cannot be read";
	return ledger_find_fault(&stats);
}

enum volley_tx_drop ledger_get_drop(int error)
{
	switch (error) {
	case EPERM:
		return VOLLEY_TX_EPERM;
	case EMSGSIZE:
		return VOLLEY_TX_EMSGSIZE;
	case ENETUNREACH:
	case ENODEV:
	case ENXIO:
	case ENETDOWN:
	case EADDRNOTAVAIL:
		return VOLLEY_TX_ENETUNREACH;
	case EHOSTUNREACH:
		return VOLLEY_TX_EHOSTUNREACH;
	case EACCES:
		return VOLLEY_TX_EACCES;
	case EINVAL:
		return VOLLEY_TX_EINVAL;
	default:
		return VOLLEY_TX_EOTHER;
	}
}
