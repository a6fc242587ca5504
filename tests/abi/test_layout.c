/* SPDX-License-Identifier: MIT */

/*
 * The layout that programs are compiled against. A change of any line here breaks every program
 * that is out there: structs only grow at their end, enums and drop reasons are only appended.
 */

#include <stddef.h>

#include <volley/volley.h>

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

static void configs(void)
{
	CHECK(sizeof(struct volley_config) >= 120);
	OFFSET(volley_config, n_workers, 8);
	OFFSET(volley_config, rcvbuf_bytes, 24);
	OFFSET(volley_config, wait, 48);
	OFFSET(volley_config, io, 56);
	OFFSET(volley_config, on_start, 64);
	OFFSET(volley_config, run_signals, 88);
	OFFSET(volley_config, on_signal, 96);
	OFFSET(volley_config, log, 104);
	OFFSET(volley_config, arg, 112);
	CHECK(sizeof(struct volley_listen_config) >= 48);
	OFFSET(volley_listen_config, on_batch, 8);
	OFFSET(volley_listen_config, on_packet, 16);
	OFFSET(volley_listen_config, arg, 24);
	OFFSET(volley_listen_config, flags, 32);
}

static void stats(void)
{
	CHECK(sizeof(struct volley_stats) >= 368);
	OFFSET(volley_stats, rx_dropped, 24);
	OFFSET(volley_stats, rx_queued, 88);
	OFFSET(volley_stats, tx_dropped, 160);
	OFFSET(volley_stats, tx_queued, 280);
	OFFSET(volley_stats, wakes, 360);
}

static void enums(void)
{
	CHECK_EQ(VOLLEY_WAIT_EVENT, 0);
	CHECK_EQ(VOLLEY_WAIT_SPIN, 2);
	CHECK_EQ(VOLLEY_RX_STOPPED, 7);
	CHECK_EQ(VOLLEY_TX_EOTHER, 9);
	CHECK_EQ(VOLLEY_TX_STOPPED, 14);
	CHECK_EQ(VOLLEY_LOG_INFO, 2);
	CHECK_EQ(VOLLEY_LISTEN_WANT_TIMESTAMP, 64);
}

int main(void)
{
	packet();
	addr();
	configs();
	stats();
	enums();
	return check_done();
}
