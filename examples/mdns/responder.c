/* SPDX-License-Identifier: MIT */

/* What is sent and taken for one name; mdns.c says how. */

#include "responder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addrs.h"

enum { MDNS_PORT = 5353, N_PROBES = 3, N_STEPS = N_PROBES + 2, HOPS = 255 };
#define PROBE_NS  UINT64_C(250000000)
#define SECOND_NS UINT64_C(1000000000)

/* Sending -------------------------------------------------------------------------------------- */

/* To one link's group, IPv4 (0) or IPv6 (1). */
static void tell(struct responder *responder, struct volley_worker *worker, struct link *link,
		 int family, const struct message *message)
{
	struct volley_addr group = responder->groups[family];

	if (family == 1)
		group.in6.sin6_scope_id = link->index;
	volley_worker_send(
		worker, responder->listener, &group, message->data, message->len,
		VOLLEY_SEND(.flags = VOLLEY_SEND_TTL, .ttl = HOPS, .interface_index = link->index));
}

/* All that the host has, or means to have, to all links and groups. */
static void tell_all(struct responder *responder, struct volley_worker *worker, bool is_claim,
		     uint32_t ttl)
{
	struct ifaddrs *addrs = NULL;

	getifaddrs(&addrs); /* or there are none */
	for (struct link *link = responder->links; link < responder->links + responder->n_links;
	     link++) {
		struct message message = {
			.host = &responder->host, .link = link->name, .addrs = addrs, .ttl = ttl
		};

		if (is_claim)
			message_put_claim(&message);
		else if (!message_put_host(&message, WANTS_A | WANTS_AAAA, NULL))
			continue;
		for (int i = 0; i < 2; i++) {
			if (!link->groups[i].is_joined)
				continue;
			tell(responder, worker, link, i, &message);
			if (!is_claim)
				link->groups[i].told_ns = volley_worker_get_now_ns(worker);
		}
	}
	freeifaddrs(addrs);
}

/* What comes to a group is of its link, and what comes to this host alone may be of anywhere. */
static bool is_near(const struct link *link, const struct volley_packet *packet)
{
	return (packet->flags & VOLLEY_PACKET_MULTICAST) != 0 ||
	       addrs_is_near(packet->peer, link->name);
}

/* Life ----------------------------------------------------------------------------------------- */

/* A worker that has the responder as its data replies: the name is ours. */
static void set_ours(struct volley_worker *worker, void *arg)
{
	volley_worker_set_data(worker, arg);
}

static void on_step(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct responder *responder = arg;
	bool is_probe = responder->step < N_PROBES;

	if (responder->step == N_PROBES) {
		volley_server_post(volley_worker_get_server(worker), set_ours, responder);
		fprintf(stderr, "mdns: %s is ours\n", responder->host.name);
	}
	tell_all(responder, worker, is_probe, TTL);
	if (++responder->step < N_STEPS)
		volley_worker_set_timer(worker, timer, is_probe ? PROBE_NS : SECOND_NS, 0);
}

/* At a random time, and when copies of what made it probe again have come by the other group. */
static void begin_probing(struct volley_worker *worker, void *arg)
{
	struct responder *responder = arg;

	responder->step = 0;
	responder->timer.fn = on_step;
	responder->timer.arg = responder;
	volley_worker_set_timer(worker, &responder->timer,
				PROBE_NS + arc4random_uniform((uint32_t)PROBE_NS), 0);
}

/* Worker 0's. Before the first probe nobody can have defended the name against it. */
static void on_conflict(struct volley_worker *worker, void *arg)
{
	struct volley_server *server = volley_worker_get_server(worker);
	struct responder *responder = arg;

	if (responder->step > N_PROBES) {
		volley_server_post(server, set_ours, NULL);
		begin_probing(worker, responder);
	} else if (responder->step > 0) {
		responder->is_lost = true;
		volley_server_request_stop(server);
	}
}

/* Section 9. To a probe one may reply to this host alone, so it may have come to any worker. */
static void take_response(struct responder *responder, const struct link *link,
			  struct volley_packet *packet, ns_msg *response)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr peer;

	if (volley_addr_get_port(packet->peer) != MDNS_PORT ||
	    !message_has_conflict(response, &responder->host) || !is_near(link, packet))
		return;
	volley_addr_unmap(packet->peer, &peer);
	volley_addr_format(&peer, text, sizeof text);
	fprintf(stderr, "mdns: %s is also what %s calls itself\n", responder->host.name, text);
	volley_server_post_to(volley_worker_get_server(packet->worker), 0, on_conflict, responder);
}

/* One group of a link, of the other family, may be enough: the log says what it lacks. */
int responder_begin(struct responder *responder, struct volley_server *server)
{
	volley_server_get_listeners(server, &responder->listener, 1);
	for (struct link *link = responder->links; link < responder->links + responder->n_links;
	     link++) {
		int r = 0;

		for (int i = 0; i < 2; i++) {
			const struct volley_group group = { .size = sizeof group,
							    .group = responder->groups[i],
							    .interface = link->name };

			r = volley_listener_join(server, responder->listener, &group);
			link->groups[i].is_joined = r >= 0;
		}
		if (!link->groups[0].is_joined && !link->groups[1].is_joined)
			return r;
	}
	return volley_server_post_to(server, 0, begin_probing, responder);
}

/* The name is nobody's any more: each record with no time left. */
void responder_end(struct volley_worker *worker, struct responder *responder)
{
	if (volley_worker_get_index(worker) == 0 && volley_worker_get_data(worker) != NULL)
		tell_all(responder, worker, false, 0);
}

/* Replies -------------------------------------------------------------------------------------- */

static void reply(const struct link *link, struct volley_packet *packet,
		  const struct message *message)
{
	volley_packet_reply_with(
		packet, message->data, message->len,
		VOLLEY_SEND(.flags = VOLLEY_SEND_TTL, .ttl = HOPS, .interface_index = link->index));
}

/* Whether the group has to be told, and not the querier; and whether it may be by now. */
static void reply_to_group(struct responder *responder, struct link *link,
			   struct volley_packet *packet, const struct question *question,
			   const struct message *message)
{
	uint64_t now_ns = volley_worker_get_now_ns(packet->worker);
	struct volley_addr peer;
	int family;

	volley_addr_unmap(packet->peer, &peer);
	family = peer.sa.sa_family == AF_INET6;
	if (question->wants_unicast &&
	    now_ns - link->groups[family].told_ns < TTL / 4 * SECOND_NS) {
		reply(link, packet, message);
	} else if (question->is_probe || now_ns - link->groups[family].told_ns >= SECOND_NS) {
		link->groups[family].told_ns = now_ns;
		tell(responder, packet->worker, link, family, message);
	}
}

static void reply_to(struct responder *responder, struct link *link, struct volley_packet *packet,
		     ns_msg *query, const struct question *question)
{
	bool is_legacy = volley_addr_get_port(packet->peer) != MDNS_PORT;
	bool is_to_group = (packet->flags & VOLLEY_PACKET_MULTICAST) != 0;
	struct message message = { .host = &responder->host,
				   .link = link->name,
				   .ttl = is_legacy ? LEGACY_TTL : TTL,
				   .is_legacy = is_legacy };
	struct ifaddrs *addrs;

	if (getifaddrs(&addrs) < 0)
		return;
	message.addrs = addrs;
	if (is_legacy) {
		memcpy(message.data, packet->data, NS_INT16SZ); /* its ID */
		message_put_question(&message, question->type, question->class);
	}
	if (message_put_host(&message, question->wants, query)) {
		if (is_legacy || !is_to_group)
			reply(link, packet, &message);
		else
			reply_to_group(responder, link, packet, question, &message);
	}
	freeifaddrs(addrs);
}

void responder_take(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	int index = volley_packet_get_interface(packet);
	struct responder *responder = arg;
	uint32_t i = 0;
	struct question question;
	ns_msg message;

	while (i < responder->n_links && (int)responder->links[i].index != index)
		i++;
	if (i == responder->n_links || ns_initparse(packet->data, (int)packet->len, &message) < 0 ||
	    ns_msg_getflag(message, ns_f_opcode) != 0 || ns_msg_getflag(message, ns_f_rcode) != 0)
		return;
	if (ns_msg_getflag(message, ns_f_qr) != 0)
		take_response(responder, &responder->links[i], packet, &message);
	else if (volley_worker_get_data(worker) != NULL &&
		 message_read_question(&message, &responder->host, &question) &&
		 is_near(&responder->links[i], packet))
		reply_to(responder, &responder->links[i], packet, &message, &question);
}
