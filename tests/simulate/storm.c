/* SPDX-License-Identifier: MIT */

#include "storm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "net.h"
#include "world.h"

enum kind { FULL, SLOW, SEGMENTS, NARROW, ADDRESS, LINK, FILES, MEMORY, FLOOD, N_KINDS };

struct storm storm;

static struct process *process;
static uint32_t kinds; /* bits: those of this world */
static bool has_moved;
static bool has_come; /* any */
static bool is_on;
static int lasting_segments; /* of cards that never take them */
static uint32_t lasting_mtu; /* of the path, all the time; 0: as the link */
static enum kind kind;       /* of the last one */
static uint32_t which;       /* address */
static struct moment change;
static struct moment flood;

static const struct {
	const char *name;
	uint32_t most_ns;
} all[N_KINDS] = {
	[FULL] = { "the device is full", 3000000 },
	[SLOW] = { "the device is slow", 8000000 },
	[SEGMENTS] = { "the card takes no segments", 5000000 },
	[NARROW] = { "the path is narrow", 50000000 },
	[ADDRESS] = { "an address has gone", 30000000 },
	[LINK] = { "a link has gone", 30000000 },
	[FILES] = { "descriptors run out", 5000000 },
	[MEMORY] = { "memory runs out", 5000000 },
	[FLOOD] = { "somebody forges errors of the network", 2000000 },
};

static void set_link(uint32_t i, bool is_there)
{
	net_set_own(i % 2, is_there);
	net_set_own(2 + i % 2, is_there);
}

/* About datagrams that a listener may have sent. */
static void forge(struct moment *moment)
{
	uint16_t port = (uint16_t)(7000 + world_pick(4));
	bool is6 = port % 2 != 0;
	struct volley_addr from, to;
	struct packet *packet;

	if (volley_addr_parse(is6 ? "[fd00:1::1]:0" : "10.0.1.1:0", &from) < 0 ||
	    volley_addr_parse(is6 ? "[fd00:1::73]:5003" : "10.0.1.70:5000", &to) < 0)
		abort();
	from.in.sin_port = htons(port);
	packet = packet_new(&from, &to, "", 0);
	udp_report(packet, world_pick(4) ? ECONNREFUSED : EHOSTUNREACH);
	packet_free(packet);
	world_plan(moment, world_now() + 50 + world_pick(1000));
}

static void come(uint64_t end_ns)
{
	static const int errors[] = { EIO, EINVAL, EMSGSIZE };

	which = world_pick(NET_N_LINK_ADDRS);
	switch (kind) {
	case FULL:
		storm.is_full = true;
		break;
	case SLOW:
		storm.slow_until_ns = end_ns;
		break;
	case SEGMENTS:
		storm.segments = errors[world_pick(3)];
		break;
	case NARROW:
		storm.path_mtu = 1280 + world_pick(200);
		break;
	case ADDRESS:
		net_set_own(which, false);
		break;
	case LINK:
		set_link(which, false);
		break;
	case FILES:
		process->n_limit = kernel_count_fds(process) + 3 + world_pick(3);
		break;
	case FLOOD:
		flood.happen = forge;
		world_plan(&flood, world_now());
		break;
	default:
		process->most_bytes = process->n_bytes + world_pick(100000);
		break;
	}
	has_moved = has_moved || kind == ADDRESS || kind == LINK;
}

static void go(void)
{
	storm = (struct storm){ .path_mtu = lasting_mtu, .segments = lasting_segments };
	world_cancel(&flood);
	process->n_limit = N_FDS;
	process->most_bytes = 0;
	for (uint32_t i = 0; i < NET_N_LINK_ADDRS; i++)
		net_set_own(i, true);
}

static void happen(struct moment *moment)
{
	uint64_t ns = 1 + world_pick(3000000);

	is_on = !is_on;
	if (is_on) {
		do
			kind = (enum kind)world_pick(N_KINDS);
		while (!(kinds >> kind & 1));
		ns = 1 + world_pick(all[kind].most_ns);
		world_tell("storm: %s", all[kind].name);
		has_come = true;
		come(world_now() + ns);
	} else {
		world_tell("storm: it is over");
		go();
	}
	world_plan(moment, world_now() + ns);
}

void storm_begin(struct process *in_process)
{
	bool would = world_pick(3) == 0;

	process = in_process;
	if (world_has(PART_STORMS, world_pick(4) == 0))
		storm.path_mtu = lasting_mtu = 1280 + world_pick(100);
	if (world_has(PART_STORMS, world_pick(8) == 0))
		storm.segments = lasting_segments = EIO;
	kinds = world_pick(1 << N_KINDS);
	if (!world_has(PART_STORMS, would) || kinds == 0)
		return;
	change.happen = happen;
	world_plan(&change, world_now() + 1 + world_pick(2000000));
}

void storm_end(void)
{
	if (process == NULL)
		return;
	world_cancel(&change);
	go();
}

bool storm_may_delay(void)
{
	return has_come && (kinds >> FULL & 1 || kinds >> SLOW & 1);
}

bool storm_may_lose(void)
{
	return has_come || lasting_mtu != 0;
}

bool storm_has_moved(void)
{
	return has_moved;
}
