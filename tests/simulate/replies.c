/* SPDX-License-Identifier: MIT */

#include "replies.h"

#include <errno.h>
#include <volley/stats.h>

#include "bounds.h"
#include "kernel.h"
#include "lib/ledger.h"
#include "net.h"
#include "storm.h"
#include "world.h"

enum { MAX_REPLIES = 100000 };

enum fate { REPLY_GIVEN = 0, REPLY_TAKEN, REPLY_REFUSED };

struct reply {
	uint64_t at_ns; /* when it was taken */
	uint32_t id;
	uint8_t fate;
	bool has_come;
	bool is_stray; /* it goes to nobody */
	uint8_t tos;
};

static struct reply replies[MAX_REPLIES]; /* from 1 */
static uint32_t n_replies;
static uint64_t n_taken, n_refused, n_come, n_strays, n_empty;
static bool is_full;
static uint64_t wait_ns; /* that one may stand in front of a full socket */

void replies_begin(void)
{
	n_replies = 0;
	n_taken = n_refused = n_come = n_strays = n_empty = 0;
	is_full = false;
	wait_ns = 0;
}

void replies_let_wait(uint64_t ns)
{
	wait_ns = ns;
}

uint32_t replies_new(uint32_t id)
{
	if (n_replies + 1 == MAX_REPLIES) {
		is_full = true;
		return 0;
	}
	replies[++n_replies] = (struct reply){ .id = id };
	return n_replies;
}

/* Refusals that the books have under a name. Others say that there is no such thing to send by. */
static bool is_counted(int r)
{
	if (r == -EMSGSIZE) /* by the library: the kernel has not seen it */
		kernel_process()->n_refused[EMSGSIZE]++;
	return r == -EINVAL || r == -EMSGSIZE || r == -ENOBUFS;
}

void replies_stray(uint32_t number)
{
	replies[number].is_stray = true;
}

void replies_set_tos(uint32_t number, uint8_t tos)
{
	replies[number].tos = number != 0 ? tos : 0;
}

void replies_end(uint32_t number, int r)
{
	struct reply *reply = &replies[number];

	n_refused += is_counted(r);
	if (number == 0)
		return;
	if (reply->has_come && r < 0)
		world_blame("a reply to request %u is refused (%d), and came", reply->id, r);
	reply->fate = r < 0 ? REPLY_REFUSED : REPLY_TAKEN;
	reply->at_ns = world_now();
	world_tell("a reply to request %u: %d", reply->id, r);
	n_taken += r >= 0;
	n_strays += r >= 0 && reply->is_stray;
}

uint64_t replies_get_ns(uint32_t number)
{
	return replies[number].fate == REPLY_TAKEN ? replies[number].at_ns : world_now();
}

void replies_take_empty(void)
{
	n_taken++;
	n_strays++;
	n_empty++;
}

void replies_refuse(int r)
{
	if (r >= 0)
		world_blame("what cannot be sent is taken");
	n_refused += is_counted(r);
}

void replies_arrive(uint32_t number, uint8_t tos)
{
	struct reply *reply = &replies[number];

	if (number == 0)
		return;
	if (tos != reply->tos)
		world_blame("a reply to request %u has the TOS byte %u, and not %u", reply->id, tos,
			    reply->tos);
	if (reply->has_come)
		world_blame("a reply to request %u came twice", reply->id);
	if (reply->fate == REPLY_REFUSED)
		world_blame("a reply to request %u was refused, and comes", reply->id);
	reply->has_come = true;
	world_tell("a reply to request %u comes, taken %llu us ago", reply->id,
		   (unsigned long long)(reply->fate == REPLY_TAKEN
						? (world_now() - reply->at_ns) / 1000
						: 0));
	n_come++;
	if (reply->fate == REPLY_TAKEN && !storm_may_delay())
		bounds_judge(BOUND_LEAVE, reply->at_ns, net_weather.most_ns + wait_ns);
}

static void find_missing(uint64_t n_dropped)
{
	uint64_t n_missing = 0;
	uint32_t first = 0;

	for (uint32_t i = 1; i <= n_replies; i++) {
		if (replies[i].fate != REPLY_TAKEN || replies[i].has_come)
			continue;
		first = first != 0 ? first : i;
		n_missing++;
	}
	if (n_missing > n_dropped + n_strays)
		world_blame(
			"%llu replies were taken and did not come, the first to request %u, and "
			"%llu are dropped",
			(unsigned long long)n_missing, replies[first].id,
			(unsigned long long)n_dropped);
	if (n_missing + n_refused + n_empty < n_dropped)
		world_blame("%llu replies are dropped, and %llu did not come or were refused",
			    (unsigned long long)n_dropped,
			    (unsigned long long)(n_missing + n_refused));
}

void replies_judge(const struct volley_stats *stats)
{
	if (is_full)
		return;
	if (stats->tx_requested < n_taken || stats->tx_requested > n_taken + n_refused)
		world_blame("%llu replies are requested, %llu were taken and %llu refused",
			    (unsigned long long)stats->tx_requested, (unsigned long long)n_taken,
			    (unsigned long long)n_refused);
	if (net_weather.lost != 0 || storm_may_lose())
		return;
	if (stats->tx_sent < n_come || stats->tx_sent > n_come + n_strays)
		world_blame("%llu replies are sent, and %llu came",
			    (unsigned long long)stats->tx_sent, (unsigned long long)n_come);
	find_missing(ledger_sum(stats->tx_dropped, VOLLEY_TX_N_DROPS));
}
