/* SPDX-License-Identifier: MIT */

/*
 * The layout that programs are compiled against. A change of any line here breaks every program
 * that is out there: structs only grow at their end, enums are only appended.
 */

#include <stddef.h>

/* A hole would be garbage that a newer library reads as a field, so it does not compile. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"
#include <volley/volley.h>
#pragma GCC diagnostic pop

#include "lib/check.h"

#define OFFSET(type, field, expected) CHECK_EQ(offsetof(struct type, field), expected)

static void packet(void)
{
	CHECK_EQ(sizeof(struct volley_packet), 64);
	OFFSET(volley_packet, data, 0);
	OFFSET(volley_packet, len, 8);
	OFFSET(volley_packet, capacity, 12);
	OFFSET(volley_packet, peer, 16);
	OFFSET(volley_packet, local, 24);
	OFFSET(volley_packet, listener, 32);
	OFFSET(volley_packet, worker, 40);
	OFFSET(volley_packet, flags, 48);
	OFFSET(volley_packet, internal, 52);
	OFFSET(volley_packet, reserved, 56);
}

static void addr(void)
{
	CHECK_EQ(sizeof(struct volley_addr), 32);
	OFFSET(volley_addr, sa, 0);
	OFFSET(volley_addr, len, 28);
}

static void timer(void)
{
	CHECK_EQ(sizeof(struct volley_timer), 2 * sizeof(void *) + 32);
	OFFSET(volley_timer, fn, 0);
	OFFSET(volley_timer, arg, sizeof(void *));
	OFFSET(volley_timer, internal, 2 * sizeof(void *));
}

/* These grow until the first release; from then on their fields are pinned like the above. */
static void size_first(void)
{
	OFFSET(volley_config, size, 0);
	OFFSET(volley_config, n_workers, 8);
	OFFSET(volley_listen_config, size, 0);
	OFFSET(volley_listen_config, on_batch, 8);
	OFFSET(volley_group, size, 0);
	OFFSET(volley_group, group, 8);
	OFFSET(volley_group, source, 40);
	OFFSET(volley_group, interface, 72);
	CHECK_EQ(sizeof(struct volley_group), 80);
	OFFSET(volley_stats, size, 0);
	OFFSET(volley_stats, rx_datagrams, 8);
	OFFSET(volley_peers_config, size, 0);
	OFFSET(volley_peers_config, n_max, 8);
	OFFSET(volley_peers_config, idle_ns, 16);
	OFFSET(volley_peers_config, on_end, 32);
	OFFSET(volley_peers_config, allocator, 48);
	CHECK_EQ(sizeof(struct volley_peers_config), 56);
	OFFSET(volley_peers_stats, size, 0);
	OFFSET(volley_peers_stats, removed, 48);
	CHECK_EQ(sizeof(struct volley_peers_stats), 56);
}

static void enums(void)
{
	CHECK_EQ(VOLLEY_WAIT_EVENT, 0);
	CHECK_EQ(VOLLEY_WAIT_SPIN, 2);
	CHECK_EQ(VOLLEY_RX_STOPPED, 6);
	CHECK_EQ(VOLLEY_TX_EOTHER, 6);
	CHECK_EQ(VOLLEY_TX_STOPPED, 11);
	CHECK_EQ(VOLLEY_LOG_INFO, 2);
	CHECK_EQ(VOLLEY_LISTEN_WANT_TIMESTAMP, 64);
	CHECK_EQ(VOLLEY_PEERS_EXPIRED, 0);
	CHECK_EQ(VOLLEY_PEERS_FREED, 3);
	CHECK_EQ(VOLLEY_PEERS_EVICT_IDLEST, 1);
}

int main(void)
{
	packet();
	addr();
	timer();
	size_first();
	enums();
	return check_done();
}
