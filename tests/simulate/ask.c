/* SPDX-License-Identifier: MIT */

#include "ask.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "fault.h"
#include "oracle.h"
#include "sys/addr.h"

/* Of a million requests, so many. */
static struct {
	uint32_t cast;   /* to everybody on the link */
	uint32_t forged; /* from an address of the host */
	uint32_t odd;    /* of no bytes, or of many */
} plan;

/* The second link has no address yet. */
static struct moment arrival;

static void come(struct moment *moment)
{
	(void)moment;
	net_set_own(1, true);
	net_set_own(3, true);
}

static void put_off(void)
{
	net_set_own(1, false);
	net_set_own(3, false);
	arrival.happen = come;
	world_plan(&arrival, world_now() + world_pick(30000000));
}

void ask_begin(void)
{
	uint32_t cast = world_pick(3) == 0 ? world_pick(300000) : 0;
	uint32_t forged = world_pick(3) == 0 ? world_pick(100000) : 0;
	uint32_t odd = world_pick(3) == 0 ? world_pick(200000) : 0;

	plan.odd = world_has(PART_LENGTHS, odd > 0) ? odd : 0;
	plan.cast = world_has(PART_CASTS, cast > 0) ? cast : 0;
	if (world_pick(2) == 0)
		put_off();
	plan.forged = world_has(PART_FORGERS, forged > 0) ? forged : 0;
}

static struct volley_addr parse(const char *text, uint16_t port)
{
	struct volley_addr addr;

	if (volley_addr_parse(text, &addr) < 0)
		abort();
	addr.in.sin_port = htons(port);
	return addr;
}

/* All clients are on the first link. */
static void ask_all(struct play *play, uint32_t i, uint32_t len)
{
	static const char *const texts[] = { "10.0.1.255:0", "255.255.255.255:0", "224.0.0.1:0",
					     "[ff02::1]:0" };
	uint16_t port = volley_addr_get_port(&play->bound[i]);
	struct volley_addr to = parse(texts[world_pick(i % 2 == 0 ? 3 : 4)], port);

	if (net_get_cast(&play->bound[i]) != CAST_NONE && world_pick(4) != 0)
		to = play->bound[i];
	if (to.sa.sa_family == AF_INET6)
		to.in6.sin6_scope_id = 2;
	oracle_send_request(&to, len);
}

void ask_dress(uint32_t i, struct volley_listen_config *listen, char *text, size_t n)
{
	static const char *const hosts[] = { "10.0.1.255", "224.0.0.1", "255.255.255.255" };

	if (plan.cast == 0)
		return;
	if (world_pick(2) == 0)
		listen->flags |= VOLLEY_LISTEN_BROADCAST;
	if (world_pick(2) == 0)
		listen->flags |= VOLLEY_LISTEN_MULTICAST_LOOP;
	if (world_pick(3) != 0)
		return;
	if (i % 2 == 0)
		snprintf(text, n, "%s:%u", hosts[world_pick(3)], 7000 + i);
	else
		snprintf(text, n, "[ff02::1%%2]:%u", 7000 + i);
}

/* Any thread may, at any time; a group that is heard anyway. */
void ask_join(struct play *play)
{
	struct volley_group group = { .size = sizeof group, .interface = "link1" };
	bool joins;
	uint32_t i;
	int r;

	if (plan.cast == 0)
		return;
	i = world_pick(N_LISTENERS);
	joins = world_pick(2) == 0;
	group.group = parse(world_pick(2) == 0 ? "224.0.0.1:0" : "[ff02::1]:0", 0);
	r = joins ? volley_listener_join(play->server, play->handles[i], &group)
		  : volley_listener_leave(play->server, play->handles[i], &group);
	if (r != 0 && r != (joins ? -EADDRINUSE : -EADDRNOTAVAIL) && r != -ESTALE && r != -EINVAL &&
	    fault_count() == 0) /* one whose address is another is deaf to it */
		world_blame("a group is %s: %d", joins ? "joined" : "left", r);
}

void ask_call_all(struct play *play, struct volley_worker *worker)
{
	uint32_t i = 2 * world_pick(2);
	uint32_t id = world_pick(oracle_count_requests());
	const struct volley_addr *at = oracle_get_destination(id);
	const struct volley_addr *client = oracle_get_client(id);
	struct volley_addr to = parse("10.0.1.255:0", volley_addr_get_port(client));
	uint8_t data[2048];
	uint32_t len;

	if (plan.cast == 0 || !play->listens[i] || net_get_cast(at) == CAST_NONE ||
	    at->in.sin_port != play->bound[i].in.sin_port || client->sa.sa_family != AF_INET)
		return;
	if (world_pick(4) == 0) {
		to.in.sin_port = at->in.sin_port;
		oracle_expect_loop(id);
	}
	oracle_count_reply(id);
	len = oracle_fill_reply(id, data, sizeof data);
	oracle_set_stray(data);             /* nobody may have that port */
	play->process->hears_errors = true; /* what ends a batch is refused twice */
	oracle_end_reply(data, volley_worker_send(worker, play->handles[i], &to, data, len, NULL));
}

/* Those of the host; the second ones may be new, or gone. */
static struct volley_addr pick_own(sa_family_t family, uint16_t port)
{
	static const char *const texts[][3] = {
		{ "10.0.1.1:0", "10.0.2.1:0", "127.0.0.1:0" },
		{ "[fd00:1::1]:0", "[fd00:2::1]:0", "[::1]:0" },
	};

	return parse(texts[family == AF_INET6][world_pick(3)], port);
}

/* As from any address of the host, with the port of a listener: a reply would come back. */
static void forge(struct play *play, uint32_t i, uint32_t len)
{
	uint32_t k = world_pick(N_LISTENERS);
	struct volley_addr from = pick_own(play->addrs[i].sa.sa_family, (uint16_t)(7000 + k));

	struct volley_addr to = play->addrs[i];

	if (world_pick(16) == 0)
		from.in.sin_port = 0;
	if (vly_addr_is_wildcard(&play->bound[i]))
		to = pick_own(to.sa.sa_family, (uint16_t)(7000 + i));
	/* Only a program of this host could be the loopback, and not where the port is taken. */
	if (net_get_link(&from) == 1 && (net_get_link(&to) != 1 || k == i))
		return;
	oracle_send_forged(&from, &to, len);
}

/* A wildcard is asked at each address. */
static void ask_second(struct play *play, uint32_t i, uint32_t len)
{
	struct volley_addr to = parse(i % 2 == 0 ? "10.0.2.1:0" : "[fd00:2::1]:0",
				      volley_addr_get_port(&play->addrs[i]));

	oracle_send_request(&to, len);
}

/* What listeners take, and a byte less or more; what is longest; what is nothing. */
static uint32_t pick_length(const struct play *play)
{
	uint32_t most = play->config.max_datagram_bytes;

	switch (world_pick(9)) {
	case 0:
		return 0;
	case 1:
		return most + world_pick(3) - 1;
	case 2:
		return most * 2;
	case 3:
		return 65507;
	case 4:
		return world_pick(65508);
	default:
		return 1200 + world_pick(275); /* where paths may be too narrow */
	}
}

void ask(struct play *play, uint32_t i, uint32_t len)
{
	if (world_chance(plan.odd)) {
		len = pick_length(play);
		len = len <= 65507 ? len : 65507;
		if (len == 0) {
			oracle_send_empty(&play->addrs[i]);
			return;
		}
	}
	if (world_chance(plan.cast) ||
	    (net_get_cast(&play->bound[i]) != CAST_NONE && world_pick(4) != 0))
		ask_all(play, i, len);
	else if (world_chance(plan.forged))
		forge(play, i, len);
	else if (vly_addr_is_wildcard(&play->bound[i]) && world_pick(4) == 0)
		ask_second(play, i, len);
	else
		oracle_send_request(&play->addrs[i], len);
}
