/* SPDX-License-Identifier: MIT */

/* What arrives at UDP sockets: which one it is for, queues with a limit, GRO, ICMP errors. */

#include "udp_inner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "sys/addr.h"

enum { MAX_MERGED = 65000 };

/* What fits a socket best: more is better, -1 is not at all. */
int udp_rate(const struct udp *udp, const struct volley_addr *from, const struct volley_addr *to)
{
	struct volley_addr local = udp->local;
	int score = 0;

	local.in.sin_port = to->in.sin_port;
	if (udp->family != to->sa.sa_family) {
		if (udp->family != AF_INET6 || !vly_addr_is_wildcard(&udp->local) ||
		    udp_get(udp, IPPROTO_IPV6, IPV6_V6ONLY))
			return -1;
	} else if (!vly_addr_is_wildcard(&udp->local)) {
		if (!vly_addr_is_same_host(&local, to))
			return -1;
		score += 4;
	} else {
		score += 1;
	}
	if (udp->is_connected) {
		if (!vly_addr_is_equal(&udp->peer, from))
			return -1;
		score += 8;
	}
	return score;
}

/* `packet`: what comes; NULL for a report about it, of which no program hears. */
static struct udp *find(const struct packet *packet, const struct volley_addr *from,
			const struct volley_addr *to)
{
	struct udp *best[64];
	uint32_t n = 0;
	int best_score = -1;

	for (struct udp *udp = udp_get_first(ntohs(to->in.sin_port)); udp != NULL;
	     udp = udp->next) {
		int score = udp_rate(udp, from, to);

		if (score < 0 || score < best_score)
			continue;
		if (score > best_score)
			n = 0;
		best_score = score;
		if (n < 64)
			best[n++] = udp;
	}
	if (n == 0)
		return NULL;
	return udp_choose(best, n, packet, from);
}

/* The card put it to the one before. */
static bool merge(struct udp *udp, const struct packet *packet)
{
	struct packet *last = udp->last;
	uint32_t segment_bytes;
	struct packet *merged;

	if (last == NULL || packet->copies != NULL || last->copies != NULL ||
	    !udp_get(udp, IPPROTO_UDP, UDP_GRO) || packet->segment_bytes != 0 ||
	    !vly_addr_is_equal(&last->from, &packet->from) ||
	    !vly_addr_is_equal(&last->to, &packet->to) || last->tos != packet->tos)
		return false;
	segment_bytes = last->segment_bytes != 0 ? last->segment_bytes : last->len;
	if (segment_bytes == 0 || last->len % segment_bytes != 0 || packet->len > segment_bytes ||
	    packet->len == 0 || last->len + packet->len > MAX_MERGED ||
	    last->len / segment_bytes >= MAX_SEGMENTS || !world_chance(net_weather.merged))
		return false;
	merged = packet_copy(last, packet->len);
	memcpy(merged->data + last->len, packet->data, packet->len);
	merged->len += packet->len;
	merged->segment_bytes = segment_bytes;
	merged->truesize += packet->len;
	udp->rmem += packet->len;
	if (udp->first == last)
		udp->first = merged;
	else
		udp->before_last->next = merged;
	udp->last = merged;
	packet_free(last);
	return true;
}

static void queue(struct udp *udp, struct packet *packet)
{
	if (merge(udp, packet)) {
		packet_free(packet);
		return;
	}
	packet->next = NULL;
	if (udp->last != NULL)
		udp->last->next = packet;
	else
		udp->first = packet;
	udp->before_last = udp->last;
	udp->last = packet;
	udp->rmem += packet->truesize;
	world_wake(&udp->file.waits);
}

uint32_t udp_count(const struct packet *packet)
{
	if (packet->segment_bytes == 0)
		return 1;
	return (packet->len + packet->segment_bytes - 1) / packet->segment_bytes;
}

/*
 * One that is bound to a link leaves by being connected to itself, and is found then by what says
 * to come from there: nobody counts what comes between the last look and the end.
 */
static bool has_left(const struct udp *udp)
{
	return udp->is_connected && udp->family == AF_INET6 && udp->local.in6.sin6_scope_id != 0 &&
	       vly_addr_is_equal(&udp->local, &udp->peer);
}

/* A super-packet for a socket that does not take it comes in parts. */
static void accept_packet(struct udp *udp, struct packet *packet)
{
	if (!udp_filter_passes(udp, packet->data, packet->len) || udp->is_shut ||
	    udp->rmem > udp->rcvbuf) {
		uint32_t n = udp_count(packet);

		if (udp_get(udp, IPPROTO_UDP, UDP_GRO))
			n = 1;
		udp->drops += n;
		if (has_left(udp))
			udp->process->n_dropped_late += n;
		else
			udp->process->n_dropped += n;
		if (packet->copies != NULL)
			packet->copies->n_dropped++;
		packet_free(packet);
		return;
	}
	if (packet->copies != NULL)
		packet->copies->n_queued++;
	if (packet->segment_bytes == 0 || udp_get(udp, IPPROTO_UDP, UDP_GRO)) {
		queue(udp, packet);
		return;
	}
	for (uint32_t at = 0; at < packet->len; at += packet->segment_bytes) {
		uint32_t len = packet->len - at < packet->segment_bytes ? packet->len - at
									: packet->segment_bytes;
		struct packet *part = packet_new(&packet->from, &packet->to, packet->data + at,
						 len);

		part->ifindex = packet->ifindex;
		part->tos = packet->tos;
		part->at_ns = packet->at_ns;
		queue(udp, part);
	}
	packet_free(packet);
}

bool udp_deliver(struct packet *packet)
{
	struct udp *udp = find(packet, &packet->from, &packet->to);

	if (udp == NULL)
		return false;
	accept_packet(udp, packet);
	return true;
}

/* One that is sent to many, most of whom have not joined a group themselves. */
static bool is_for(struct udp *udp, const struct packet *packet)
{
	bool is_wanted;

	bool is4 = packet->to.sa.sa_family == AF_INET;
	bool is_any = vly_addr_is_wildcard(&udp->local);

	if (udp->is_connected && !vly_addr_is_equal(&udp->peer, &packet->from))
		return false;
	if (!is_any && (udp->family != packet->to.sa.sa_family ||
			!vly_addr_is_same_host(&udp->local, &packet->to)))
		return false;
	if (udp->family != packet->to.sa.sa_family &&
	    (!is4 || udp_get(udp, IPPROTO_IPV6, IPV6_V6ONLY)))
		return false;
	if (net_get_cast(&packet->to) == CAST_BROADCAST)
		return true;
	if (udp_is_member(udp, packet, &is_wanted))
		return is_wanted;
	return udp_get(udp, is4 ? IPPROTO_IP : IPPROTO_IPV6,
		       is4 ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL);
}

/* IPv4 multicast that finds one socket early: any of its group gets it (Linux 6.6). */
static struct udp *steal(struct udp *one, const struct packet *packet)
{
	uint16_t port = ntohs(packet->to.in.sin_port);
	struct udp *group[64];
	uint32_t n = 0;

	for (struct udp *udp = udp_get_first(port); udp != NULL && n < 64; udp = udp->next)
		if (udp_is_of_group(udp, one))
			group[n++] = udp;
	if (n == 0)
		return one;
	return udp_choose(group, n, packet, &packet->from);
}

/* Where a reply would leave from, which is nowhere if the host has no address. */
static struct in_addr get_specific(const struct packet *packet)
{
	struct volley_addr addr;

	if (!net_get_source(packet->ifindex, AF_INET, &addr))
		addr.in.sin_addr.s_addr = htonl(INADDR_ANY);
	return addr.in.sin_addr;
}

void udp_deliver_all(struct packet *packet)
{
	struct udp *all[64];
	uint32_t n = 0;

	for (struct udp *udp = udp_get_first(ntohs(packet->to.in.sin_port)); udp != NULL;
	     udp = udp->next)
		if (n < 64 && is_for(udp, packet))
			all[n++] = udp;
	if (n == 1 && packet->to.sa.sa_family == AF_INET && net_get_cast(&packet->to) == CAST_GROUP)
		all[0] = steal(all[0], packet);
	packet->specific = get_specific(packet);
	for (uint32_t i = 0; i < n; i++)
		accept_packet(all[i], packet_copy(packet, 0));
}

/* Who would get a datagram from there hears of it. */
void udp_report(const struct packet *packet, int error)
{
	struct udp *udp = find(NULL, &packet->to, &packet->from);
	bool is4 = packet->to.sa.sa_family == AF_INET;
	struct report *report;

	if (udp == NULL)
		return;
	if (!udp_get(udp, is4 ? IPPROTO_IP : IPPROTO_IPV6, is4 ? IP_RECVERR : IPV6_RECVERR)) {
		if (!udp->is_connected)
			return;
		udp->error = error;
		world_wake(&udp->file.waits);
		return;
	}
	udp->error = error; /* also where the report finds no room among the datagrams */
	world_wake(&udp->file.waits);
	if (udp->rmem + REPORT_BYTES >= udp->rcvbuf) {
		udp->process->n_lost_reports++;
		return;
	}
	udp->rmem += REPORT_BYTES;
	report = __real_malloc(sizeof *report);
	*report = (struct report){ .peer = packet->to, .error = error };
	if (udp->reports == NULL)
		udp->reports = report;
	else
		udp->last_report->next = report;
	udp->last_report = report;
}
