/* SPDX-License-Identifier: MIT */

#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"
#include "storm.h"
#include "sys/addr.h"

void *__real_malloc(size_t n);
void __real_free(void *memory);

enum { N_CLIENTS = 1024, OVERHEAD_BYTES = 768 };

struct weather net_weather;

static struct client *clients[N_CLIENTS]; /* by hash of the address */

/* 127.0.0.0/8 and ::1 are interface 1; 10.0.N.1/24 and fd00:N::1/64 interface N + 1. */
enum { N_LINKS = 2, LOOPBACK_MTU = 65536, LINK_MTU = 1500 };

static uint32_t get_link4(uint32_t host)
{
	if (host >> 24 == 127)
		return 1;
	if (host >> 16 == (10 << 8) && (host >> 8 & 255) >= 1 && (host >> 8 & 255) <= N_LINKS)
		return (host >> 8 & 255) + 1;
	return 0;
}

static uint32_t get_link6(const struct in6_addr *in6)
{
	if (IN6_IS_ADDR_LOOPBACK(in6))
		return 1;
	if (in6->s6_addr[0] == 0xfd && in6->s6_addr[1] == 0 && in6->s6_addr[2] == 0 &&
	    in6->s6_addr[3] >= 1 && in6->s6_addr[3] <= N_LINKS)
		return in6->s6_addr[3] + 1u;
	return 0;
}

static bool get_ip4(const struct volley_addr *addr, uint32_t *ret_host)
{
	if (addr->sa.sa_family == AF_INET) {
		*ret_host = ntohl(addr->in.sin_addr.s_addr);
		return true;
	}
	if (!IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
		return false;
	memcpy(ret_host, &addr->in6.sin6_addr.s6_addr[12], 4);
	*ret_host = ntohl(*ret_host);
	return true;
}

uint32_t net_get_link(const struct volley_addr *addr)
{
	uint32_t host;

	return get_ip4(addr, &host) ? get_link4(host) : get_link6(&addr->in6.sin6_addr);
}

enum cast net_get_cast(const struct volley_addr *addr)
{
	uint32_t host;

	if (!get_ip4(addr, &host))
		return IN6_IS_ADDR_MULTICAST(&addr->in6.sin6_addr) ? CAST_GROUP : CAST_NONE;
	if (IN_MULTICAST(host))
		return CAST_GROUP;
	if (host == INADDR_BROADCAST || (get_link4(host) > 1 && (host & 255) == 255))
		return CAST_BROADCAST;
	return CAST_NONE;
}

static bool is_gone[NET_N_LINK_ADDRS];
static uint64_t changed_ns;

uint64_t net_get_changed_ns(void)
{
	return changed_ns;
}

static struct volley_addr make_own(uint32_t i)
{
	static const char *const texts[] = { "10.0.1.1:0",    "10.0.2.1:0",  "[fd00:1::1]:0",
					     "[fd00:2::1]:0", "127.0.0.1:0", "[::1]:0" };
	struct volley_addr addr;

	if (volley_addr_parse(texts[i], &addr) < 0)
		abort();
	return addr;
}

/* As the i-th that is there. */
bool net_get_own(uint32_t i, struct volley_addr *ret_addr)
{
	for (uint32_t k = 0; k < NET_N_LINK_ADDRS + 2; k++) {
		if (k < NET_N_LINK_ADDRS && is_gone[k])
			continue;
		if (i-- > 0)
			continue;
		*ret_addr = make_own(k);
		return true;
	}
	return false;
}

void net_set_own(uint32_t i, bool is_there)
{
	struct volley_addr addr = make_own(i);

	if (is_gone[i] == !is_there)
		return;
	is_gone[i] = !is_there;
	changed_ns = world_now();
	netlink_tell(&addr, is_there);
}

uint32_t net_find_interface(const struct volley_addr *addr)
{
	uint32_t link = net_get_link(addr);
	uint32_t host;

	if (link <= 1)
		return link;
	if (get_ip4(addr, &host))
		return (host & 255) == 1 && !is_gone[link - 2] ? link : 0;
	return addr->in6.sin6_addr.s6_addr[15] == 1 && !is_gone[link] ? link : 0;
}

bool net_get_source(uint32_t ifindex, int family, struct volley_addr *ret_addr)
{
	uint32_t first = family == AF_INET ? 0 : N_LINKS;

	if (ifindex >= 2 && !is_gone[first + ifindex - 2]) {
		*ret_addr = make_own(first + ifindex - 2);
		return true;
	}
	for (uint32_t i = first; i < first + N_LINKS; i++) {
		*ret_addr = make_own(i);
		if (!is_gone[i])
			return true;
	}
	return false;
}

/* The route goes with the address that it is of. */
bool net_route(const struct volley_addr *to, struct volley_addr *ret_from)
{
	uint32_t link = net_get_link(to);
	uint32_t host;

	if (link == 0 || (link > 1 && is_gone[link - 2 + (get_ip4(to, &host) ? 0 : N_LINKS)]))
		return false;
	*ret_from = *to;
	if (get_ip4(to, &host)) {
		host = link == 1 ? 0x7f000001 : (uint32_t)(10 << 24 | (link - 1) << 8 | 1);
		host = htonl(host);
		if (to->sa.sa_family == AF_INET)
			ret_from->in.sin_addr.s_addr = host;
		else
			memcpy(&ret_from->in6.sin6_addr.s6_addr[12], &host, 4);
	} else if (link > 1) {
		memset(&ret_from->in6.sin6_addr.s6_addr[4], 0, 11);
		ret_from->in6.sin6_addr.s6_addr[15] = 1;
	}
	return true;
}

struct volley_addr net_unmap(const struct volley_addr *addr)
{
	struct volley_addr ip4 = { .len = sizeof ip4.in };

	if (addr->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
		return *addr;
	ip4.in.sin_family = AF_INET;
	ip4.in.sin_port = addr->in6.sin6_port;
	memcpy(&ip4.in.sin_addr, &addr->in6.sin6_addr.s6_addr[12], 4);
	return ip4;
}

uint32_t net_get_mtu(const struct volley_addr *to)
{
	return net_get_link(to) == 1 ? LOOPBACK_MTU : LINK_MTU;
}

static uint32_t learned[2]; /* MTU of the path, of each family; 0: nothing */

uint32_t net_get_path_mtu(const struct volley_addr *to)
{
	uint32_t known = learned[to->sa.sa_family == AF_INET6];

	return net_get_link(to) > 1 && known > 0 ? known : net_get_mtu(to);
}

/* Packets */

static void arrive(struct moment *moment);

struct packet *packet_new(const struct volley_addr *from, const struct volley_addr *to,
			  const void *data, uint32_t len)
{
	struct packet *packet = __real_malloc(sizeof *packet + len);

	*packet = (struct packet){
		.from = *from, .to = *to, .len = len, .ttl = 64, .truesize = OVERHEAD_BYTES + len
	};
	packet->arrival.happen = arrive;
	memcpy(packet->data, data, len);
	return packet;
}

struct packet *packet_copy(const struct packet *packet, uint32_t n_more)
{
	struct packet *copy = __real_malloc(sizeof *packet + packet->len + n_more);

	memcpy(copy, packet, sizeof *packet + packet->len);
	copy->next = NULL;
	copy->arrival.place = 0;
	return copy;
}

void packet_free(struct packet *packet)
{
	world_cancel(&packet->arrival);
	__real_free(packet);
}

/* Clients */

static struct client **find_slot(const struct volley_addr *addr)
{
	return &clients[(vly_addr_hash(addr) >> 40) % N_CLIENTS];
}

void net_add_client(struct client *client)
{
	struct client **slot = find_slot(&client->addr);

	client->next = *slot;
	*slot = client;
}

void net_remove_client(struct client *client)
{
	struct client **link = find_slot(&client->addr);

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
}

static struct client *find_client(const struct volley_addr *addr)
{
	struct client *client = *find_slot(addr);

	while (client != NULL && !vly_addr_is_equal(&client->addr, addr))
		client = client->next;
	return client;
}

/* On the way */

/* Those on the link, whoever they are. A broadcast to a link without an address is for nobody. */
static void arrive_at_many(struct packet *packet)
{
	struct volley_addr own;
	bool is_own = net_find_interface(&packet->from) != 0;

	for (uint32_t i = 0; is_own && i < N_CLIENTS; i++)
		for (struct client *client = clients[i]; client != NULL; client = client->next)
			if (client->addr.in.sin_port == packet->to.in.sin_port &&
			    net_get_link(&client->addr) == packet->ifindex &&
			    client->addr.sa.sa_family == packet->to.sa.sa_family)
				client->receive(client, packet);
	if (is_own && !packet->loops)
		return;
	if (net_get_link(&packet->to) == 0 || net_route(&packet->to, &own))
		udp_deliver_all(packet);
}

static void arrive(struct moment *moment)
{
	struct packet *packet = (struct packet *)(void *)((char *)moment -
							  offsetof(struct packet, arrival));
	struct client *from = find_client(&packet->from);
	struct client *to;

	packet->at_ns = world_now();
	if (packet->error != 0) {
		udp_report(packet, packet->error);
	} else if (net_get_cast(&packet->to) != CAST_NONE) {
		arrive_at_many(packet);
	} else if (net_find_interface(&packet->to) != 0) {
		packet->ifindex = net_find_interface(&packet->to);
		if (udp_deliver(packet))
			return;
		if (from != NULL && from->refuse != NULL)
			from->refuse(from, packet);
		else if (from == NULL)
			udp_report(packet, ECONNREFUSED);
	} else if ((to = find_client(&packet->to)) != NULL) {
		to->receive(to, packet);
	} else {
		udp_report(packet, ECONNREFUSED);
	}
	packet_free(packet);
}

static void set_out(struct packet *packet)
{
	uint64_t span = net_weather.most_ns - net_weather.least_ns + 1;

	world_plan(&packet->arrival, world_now() + net_weather.least_ns + world_random() % span);
}

/* A message about it comes back, in its time. */
static void report(const struct packet *packet, int error)
{
	struct packet *message = packet_copy(packet, 0);

	message->error = error;
	set_out(message);
}

/* Too long for the path: it is lost, and a router says so. */
static bool is_too_long(const struct packet *packet)
{
	bool is6 = packet->to.sa.sa_family == AF_INET6;
	bool is_outer = net_get_link(&packet->to) > 1 && net_find_interface(&packet->from) != 0;

	if (!is_outer || !packet->is_whole || storm.path_mtu == 0 ||
	    packet->len + (is6 ? 48 : 28) <= storm.path_mtu)
		return false;
	/* Who wants to know the path, as all do but those who are told not to, loses one only. */
	if (learned[is6] > 0 && learned[is6] <= storm.path_mtu)
		world_blame("%u bytes leave whole, and the path is known to take %u", packet->len,
			    learned[is6]);
	learned[is6] = storm.path_mtu;
	world_tell("%u bytes are too long for the path", packet->len);
	report(packet, EMSGSIZE);
	return true;
}

void net_send(struct packet *packet)
{
	if (world_chance(net_weather.refused))
		report(packet, world_pick(2) ? ECONNREFUSED : EHOSTUNREACH);
	if (is_too_long(packet) || world_chance(net_weather.lost)) {
		packet_free(packet);
		return;
	}
	if (world_chance(net_weather.doubled)) {
		struct packet *copy = packet_copy(packet, 0);

		copy->is_double = true;
		set_out(copy);
	}
	set_out(packet);
}

void net_begin(void)
{
	memset(clients, 0, sizeof clients);
	memset(is_gone, 0, sizeof is_gone);
	memset(learned, 0, sizeof learned);
	net_weather = (struct weather){ .least_ns = 1000, .most_ns = 1000 };
}

void net_end(void)
{
}
