/* SPDX-License-Identifier: MIT */

/* What the books say, against what the simulated kernel did. */

#include "judge.h"

#include <errno.h>

#include "fault.h"
#include "lib/ledger.h"
#include "storm.h"

/*
 * A reply is dropped as what the kernel said of it alone: not as what met others in one message
 * with it, nor as what was told of an earlier one. What ends a batch is tried again, and so is what
 * may have been told of another; where the reason was a passing one, that succeeds.
 */
void judge_refusals(struct volley_server *server, const struct process *process)
{
	struct volley_stats stats = { .size = sizeof stats };
	uint64_t n_refused[VOLLEY_TX_N_DROPS] = { 0 };
	bool is_exact = fault_count() == 0 && !storm_has_moved() && !process->hears_errors &&
			!process->sends_singly;

	volley_server_get_stats(server, &stats);
	for (int error = 1; error < N_ERRNOS; error++)
		if (error != EAGAIN && error != ENOBUFS) /* it waits */
			n_refused[ledger_get_drop(error)] += process->n_refused[error];
	for (int i = 0; i <= VOLLEY_TX_EOTHER; i++)
		if (stats.tx_dropped[i] > n_refused[i] + process->n_lost_reports ||
		    (stats.tx_dropped[i] < n_refused[i] && is_exact))
			world_blame("%llu replies are dropped as error %d, and %llu were refused",
				    (unsigned long long)stats.tx_dropped[i], i,
				    (unsigned long long)n_refused[i]);
}

static void compare(const char *name, uint64_t books, uint64_t truth)
{
	if (books != truth)
		world_blame("%s is %llu, and %llu in truth", name, (unsigned long long)books,
			    (unsigned long long)truth);
}

uint64_t judge_count_dropped(const struct volley_stats *stats)
{
	uint64_t n = stats->discarded_at_close;

	for (int i = 0; i < VOLLEY_RX_N_DROPS; i++)
		n += i != VOLLEY_RX_COPY ? stats->rx_dropped[i] : 0;
	return n;
}

/* Of what was sent to many one copy is delivered, and the others are dropped as such. */
static void judge_copies(const struct volley_stats *stats, const struct process *process)
{
	uint64_t n_copies = stats->rx_dropped[VOLLEY_RX_COPY];
	uint64_t n_taken = n_copies + process->n_cast_delivered;

	if (udp_has_hidden_casts())
		return;
	if (n_taken > process->n_copies_taken ||
	    n_taken + judge_count_dropped(stats) < process->n_copies_taken)
		world_blame("%llu copies are dropped and %llu served, of %llu",
			    (unsigned long long)n_copies,
			    (unsigned long long)process->n_cast_delivered,
			    (unsigned long long)process->n_copies_taken);
}

void judge_books(struct volley_server *server, const struct process *process)
{
	struct volley_stats stats = { .size = sizeof stats };
	const char *fault = ledger_find_server_fault(server);
	bool is_exact = fault_count() == 0 && !storm_has_moved();
	uint64_t n_read, n_most;

	if (fault != NULL)
		world_blame("books: %s", fault);
	volley_server_get_stats(server, &stats);
	/*
	 * What a socket still holds is read to be counted. One that could not leave the lookup
	 * before, since a call was refused or its address is gone, may get more until it is closed.
	 */
	n_read = stats.rx_messages + stats.discarded_at_close;
	if (is_exact || n_read < process->n_taken ||
	    n_read > process->n_taken + process->n_discarded)
		compare("rx_messages and discarded_at_close", n_read,
			process->n_taken + process->n_discarded);
	compare("tx_sent", stats.tx_sent, process->n_sent);
	/* So is this one. */
	n_most = process->n_dropped + process->n_dropped_late;
	if (stats.kernel_drops > n_most || (is_exact && stats.kernel_drops < process->n_dropped))
		compare("kernel_drops", stats.kernel_drops, n_most);
	judge_copies(&stats, process);
}
