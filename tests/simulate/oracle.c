/* SPDX-License-Identifier: MIT */

#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "judge.h"
#include "lib/ledger.h"
#include "netlink.h"
#include "replies.h"
#include "storm.h"
#include "sys/addr.h"

enum { HEAD_BYTES = 12, MAGIC = 0x756d7062, N_PORTS = 64, MAX_LOOPS = 16 };

#define NEWS_NS    UINT64_C(60000000)
#define BLURRED_NS UINT64_C(1100000000)

struct request {
	struct volley_addr from;
	struct volley_addr to;
	struct copies copies; /* where `to` is that of many */
	uint8_t client;
	bool is_forged;
	uint32_t n_loops_due;
	uint32_t n_loops; /* replies that the server has got from itself */
	uint16_t len;
	uint16_t n_delivered;
	uint16_t n_requested; /* replies that were taken */
	uint16_t n_replied;   /* replies that came, but for the network's doubles */
	bool has_come;        /* one of them, or a double */
};

/* What a request or a reply begins with; the rest follows from it. */
struct head {
	uint32_t magic;
	uint32_t id;
	uint32_t is_reply; /* 0: a request; else a reply's number, see replies.h, and one */
};

static struct client clients[N_ORACLE_CLIENTS];
static struct request requests[MAX_REQUESTS];
static uint32_t n_requests;
static uint64_t n_looped; /* when it was last asked */
static uint32_t n_empty_sent, n_empty_delivered, n_empty_replies, n_empty_replied;
static uint64_t n_arrived; /* replies */
static uint32_t n_replied; /* requests whose first reply has come */
static uint32_t last_delivered[2][N_ORACLE_CLIENTS][N_PORTS];
static uint32_t first_ordered[N_PORTS]; /* the requests before it found a group that grew */
static bool is_ordered;                 /* the network keeps the order */

static uint8_t get_byte(uint32_t id, uint32_t i)
{
	return (uint8_t)(id * 2654435761u >> 24) ^ (uint8_t)(i * 31);
}

static void fill(uint8_t *data, uint32_t len, uint32_t id, uint32_t is_reply)
{
	struct head head = { MAGIC, id, is_reply };

	memcpy(data, &head, sizeof head);
	for (uint32_t i = sizeof head; i < len; i++)
		data[i] = get_byte(id, i);
}

/* The number of what has come; UINT32_MAX: it is none of ours. */
static uint32_t read_id(const uint8_t *data, uint32_t len, bool is_reply)
{
	struct head head;

	if (len < sizeof head)
		return UINT32_MAX;
	memcpy(&head, data, sizeof head);
	if (head.magic != MAGIC || head.id >= n_requests || (head.is_reply != 0) != is_reply)
		return UINT32_MAX;
	for (uint32_t i = sizeof head; i < len; i++)
		if (data[i] != get_byte(head.id, i))
			return UINT32_MAX;
	return head.id;
}

/* Where it was sent to; where that is many, one address of the host. */
static bool is_reply_source(const struct volley_addr *addr, const struct request *request)
{
	struct volley_addr own = request->to;

	if (net_get_cast(&request->to) != CAST_NONE && storm_has_moved())
		return net_get_cast(addr) == CAST_NONE; /* it was another one then */
	if (net_get_cast(&request->to) != CAST_NONE)
		net_get_source(net_get_link(&request->from), request->to.sa.sa_family, &own);
	own.in.sin_port = request->to.in.sin_port;
	return volley_addr_is_equal(addr, &own);
}

static uint32_t read_number(const void *data)
{
	struct head head;

	memcpy(&head, data, sizeof head);
	return head.is_reply - 1;
}

static void receive(struct client *client, const struct packet *packet)
{
	uint32_t id = read_id(packet->data, packet->len, true);
	struct request *request = &requests[id];

	if (packet->len == 0) {
		n_empty_replied += !packet->is_double;
		if (n_empty_replied > n_empty_replies)
			world_blame("%u empty replies, of which %u were sent", n_empty_replied,
				    n_empty_replies);
		return;
	}
	if (id == UINT32_MAX) {
		world_blame("a reply of %u bytes is none that anybody sent", packet->len);
		return;
	}
	if (!is_reply_source(&packet->from, request))
		world_blame("the reply to request %u comes from another address", id);
	if (&clients[request->client] != client)
		world_blame("the reply to request %u came to client %d", id,
			    (int)(client - clients));
	n_arrived++;
	if (!packet->is_double)
		replies_arrive(read_number(packet->data), packet->tos);
	n_replied += !request->has_come;
	request->has_come = true;
	if (!packet->is_double && ++request->n_replied > request->n_requested)
		world_blame("%u replies to request %u, of which %u were sent", request->n_replied,
			    id, request->n_requested);
}

void oracle_begin(void)
{
	n_requests = n_replied = 0;
	replies_begin();
	memset(last_delivered, 0, sizeof last_delivered);
	memset(first_ordered, 0, sizeof first_ordered);
	is_ordered = net_weather.least_ns == net_weather.most_ns && net_weather.doubled == 0;
	for (uint32_t i = 0; i < N_ORACLE_CLIENTS; i++) {
		char text[64];

		snprintf(text, sizeof text, i % 4 == 3 ? "[fd00:1::%u]:%u" : "10.0.1.%u:%u", 70 + i,
			 5000 + i);
		clients[i] = (struct client){ .receive = receive };
		if (volley_addr_parse(text, &clients[i].addr) < 0)
			abort();
		net_add_client(&clients[i]);
	}
}

void oracle_end(void)
{
	for (uint32_t i = 0; i < N_ORACLE_CLIENTS; i++)
		net_remove_client(&clients[i]);
}

static void send_request(const struct volley_addr *from, const struct volley_addr *to, uint32_t i,
			 uint32_t len)
{
	uint8_t data[65536];
	uint32_t id = n_requests++;
	struct request *request = &requests[id];
	struct packet *packet;

	*request = (struct request){
		.from = *from, .to = *to, .client = (uint8_t)i, .len = (uint16_t)len
	};
	if (len < HEAD_BYTES)
		len = HEAD_BYTES;
	fill(data, len, id, 0);
	packet = packet_new(from, to, data, len);
	packet->ifindex = net_get_link(from);
	if (net_get_cast(to) != CAST_NONE)
		packet->copies = &request->copies;
	net_send(packet);
}

static uint32_t pick_client(const struct volley_addr *to)
{
	uint32_t i;

	do
		i = world_pick(N_ORACLE_CLIENTS);
	while (clients[i].addr.sa.sa_family != to->sa.sa_family);
	return i;
}

void oracle_send_empty(const struct volley_addr *to)
{
	n_empty_sent++;
	net_send(packet_new(&clients[pick_client(to)].addr, to, "", 0));
}

void oracle_send_request(const struct volley_addr *to, uint32_t len)
{
	uint32_t i = pick_client(to);

	if (n_requests == MAX_REQUESTS)
		return;
	send_request(&clients[i].addr, to, i, len);
}

void oracle_send_forged(const struct volley_addr *from, const struct volley_addr *to, uint32_t len)
{
	if (n_requests == MAX_REQUESTS)
		return;
	send_request(from, to, 0, len);
	requests[n_requests - 1].is_forged = true;
}

uint32_t oracle_count_requests(void)
{
	return n_requests;
}

uint64_t oracle_count_datagrams(void)
{
	return n_requests + n_arrived;
}

uint32_t oracle_count_replied(void)
{
	return n_replied;
}

/* One client's requests to one port are one flow: one socket, one handler; those to all another. */
static void check_order(uint32_t id)
{
	const struct request *request = &requests[id];
	uint32_t port = volley_addr_get_port(&request->to) % N_PORTS;
	uint32_t *last = &last_delivered[net_get_cast(&request->to) != CAST_NONE][request->client]
					[port];

	if (is_ordered && id >= first_ordered[port] && id + 1 <= *last)
		world_blame("request %u is delivered after %u", id, *last - 1);
	*last = id + 1;
}

/* What was sent to many says so, and where to, and has one address to reply from. */
static void check_cast(const struct volley_packet *packet, uint32_t id)
{
	const struct request *request = &requests[id];
	enum cast cast = net_get_cast(&request->to);
	uint32_t flag = cast == CAST_GROUP ? VOLLEY_PACKET_MULTICAST : VOLLEY_PACKET_BROADCAST;
	struct volley_addr local = net_unmap(packet->local);
	struct volley_addr to, bound;

	if (volley_listener_get_addr(volley_worker_get_server(packet->worker), packet->listener,
				     &bound) < 0)
		world_blame("the listener of request %u is not there", id);
	if (volley_packet_get_destination(packet, &to) < 0)
		world_blame("request %u was sent to nowhere", id);
	to = net_unmap(&to);
	if (!volley_addr_is_equal(&to, &request->to))
		world_blame("request %u is said to have another destination", id);
	if ((packet->flags & (VOLLEY_PACKET_MULTICAST | VOLLEY_PACKET_BROADCAST)) != flag &&
	    !udp_has_hidden_casts())
		world_blame("request %u is not said to be sent to many", id);
	if (!vly_addr_is_wildcard(&bound) && net_get_cast(&bound) == CAST_NONE)
		world_blame("request %u was not sent to this listener", id);
	if (!volley_addr_is_equal(packet->local, &bound) /* the kernel chooses */ &&
	    (net_get_cast(&local) != CAST_NONE || net_get_link(&local) == 1))
		world_blame("request %u cannot be replied to from there", id);
}

/* A new address is known in 10 ms; in a second where it came while the list was read. */
static bool is_news(uint64_t at_ns)
{
	uint64_t blurred_ns = netlink_get_blurred_ns();

	return (net_get_changed_ns() > 0 && at_ns < net_get_changed_ns() + NEWS_NS) ||
	       (blurred_ns > 0 && at_ns < blurred_ns + BLURRED_NS);
}

void oracle_expect_loop(uint32_t id)
{
	requests[id].n_loops_due += MAX_LOOPS;
}

/*
 * A reply that the server has got from itself. One or two are possible where the port's owner has
 * changed on the way, and more of those that were taken while an address is new. Else who replies
 * to them does so for ever; where a call was refused that is so, and said: it ends here.
 */
static uint32_t deliver_loop(const struct volley_packet *packet)
{
	uint32_t id = read_id(packet->data, packet->len, true);
	char from[VOLLEY_ADDR_TEXT_BYTES], to[VOLLEY_ADDR_TEXT_BYTES];

	if (id == UINT32_MAX)
		world_blame("%u bytes are delivered that nobody sent", packet->len);
	else if (net_get_cast(&requests[id].to) == CAST_NONE && !requests[id].is_forged)
		world_blame("a reply to request %u is delivered", id);
	else if (++requests[id].n_loops <= MAX_LOOPS + requests[id].n_loops_due ||
		 (is_news(replies_get_ns(read_number(packet->data))) && fault_count() == 0))
		return id;
	else if (fault_count() == 0)
		world_blame("the server talks to itself about request %u: from %s to %s", id,
			    (volley_addr_format(packet->peer, from, sizeof from), from),
			    (volley_addr_format(&requests[id].to, to, sizeof to), to));
	return UINT32_MAX;
}

uint32_t oracle_deliver(const struct volley_packet *packet)
{
	uint32_t id = read_id(packet->data, packet->len, false);
	struct request *request = &requests[id];
	struct volley_addr peer = net_unmap(packet->peer);

	if (packet->flags & (VOLLEY_PACKET_MULTICAST | VOLLEY_PACKET_BROADCAST))
		kernel_process()->n_cast_delivered++;
	if (packet->len == 0) {
		if (++n_empty_delivered > n_empty_sent && net_weather.doubled == 0)
			world_blame("nothing is delivered once too often");
		return UINT32_MAX;
	}
	if (id == UINT32_MAX)
		return deliver_loop(packet);
	if (!(packet->flags & VOLLEY_PACKET_TRUNCATED) &&
	    packet->len != (request->len < HEAD_BYTES ? HEAD_BYTES : request->len))
		world_blame("of request %u %u bytes are delivered", id, packet->len);
	if (!volley_addr_is_equal(&peer, &request->from))
		world_blame("request %u is said to come from somebody else", id);
	if (++request->n_delivered > 1 && net_weather.doubled == 0 &&
	    (net_get_cast(&request->to) == CAST_NONE || !udp_has_hidden_casts()))
		world_blame("request %u is delivered twice", id);
	if (net_get_cast(&request->to) != CAST_NONE)
		check_cast(packet, id);
	else if (packet->flags & (VOLLEY_PACKET_MULTICAST | VOLLEY_PACKET_BROADCAST))
		world_blame("request %u was sent to one only", id);
	if (!request->is_forged)
		check_order(id);
	return id;
}

void oracle_begin_order(const struct volley_addr *to)
{
	first_ordered[volley_addr_get_port(to) % N_PORTS] = n_requests;
}

uint32_t oracle_read_request(const void *data, uint32_t len)
{
	return read_id(data, len, false);
}

uint32_t oracle_fill_reply(uint32_t id, uint8_t *data, uint32_t n_room)
{
	uint32_t len = requests[id].len < HEAD_BYTES ? HEAD_BYTES : requests[id].len;

	if (len > n_room)
		len = n_room;
	fill(data, len, id, 1 + replies_new(id));
	if (requests[id].is_forged)
		oracle_set_stray(data);
	return len;
}

struct volley_send_options oracle_choose_options(const void *data, bool may_wait)
{
	struct volley_send_options options = { .size = sizeof options };

	if (world_pick(4) > 0 || read_number(data) == 0)
		return options;
	options.flags = VOLLEY_SEND_TOS |
			(may_wait && world_pick(4) == 0 ? VOLLEY_SEND_IF_ROOM : 0);
	options.tos = world_pick(256);
	replies_set_tos(read_number(data), (uint8_t)options.tos);
	return options;
}

void oracle_end_reply(const void *data, int r)
{
	replies_end(read_number(data), r);
}

void oracle_set_stray(const void *data)
{
	replies_stray(read_number(data));
}

void oracle_end_refused(int r)
{
	replies_refuse(r);
}

void oracle_count_reply(uint32_t id)
{
	requests[id].n_requested++;
}

void oracle_count_empty(void)
{
	n_empty_replies++;
	replies_take_empty();
}

bool oracle_is_forged(uint32_t id)
{
	return requests[id].is_forged;
}

const struct volley_addr *oracle_get_client(uint32_t id)
{
	return &requests[id].from;
}

const struct volley_addr *oracle_get_destination(uint32_t id)
{
	return &requests[id].to;
}

/* Whose copies were all taken, and none was delivered: dropped for another reason than that. */
static void judge_casts(const struct volley_stats *stats)
{
	uint64_t n_lost = 0;

	for (uint32_t i = 0; i < n_requests; i++) {
		const struct copies *copies = &requests[i].copies;

		n_lost += copies->n_queued > 0 && copies->n_taken == copies->n_queued &&
			  copies->n_dropped == 0 && requests[i].n_delivered == 0;
	}
	if (fault_count() == 0 && n_lost > judge_count_dropped(stats))
		world_blame("%llu requests to many are served by nobody",
			    (unsigned long long)n_lost);
}

static uint64_t count_delivered(void)
{
	uint64_t n = n_empty_delivered;

	for (uint32_t i = 0; i < n_requests; i++)
		n += requests[i].n_delivered + requests[i].n_loops;
	return n;
}

/* Something went round since this was last asked. */
static bool is_looping(void)
{
	uint64_t n = 0;
	bool is;

	for (uint32_t i = 0; i < n_requests; i++)
		n += requests[i].n_loops;
	is = n != n_looped;
	n_looped = n;
	return is;
}

/* And the books have all that was taken: while they were read, a worker may have been at it. */
static bool is_settled(const struct volley_stats *stats)
{
	return stats->rx_queued == 0 && stats->tx_queued == 0 && stats->unread_bytes == 0 &&
	       stats->delivered == count_delivered() &&
	       stats->rx_messages + stats->discarded_at_close >= kernel_process()->n_taken;
}

bool oracle_has_settled(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	if (volley_server_get_stats(server, &stats) < 0 || !is_settled(&stats) || is_looping())
		return false;
	judge_casts(&stats);
	return true;
}

void oracle_forget_order(void)
{
	is_ordered = false;
}

void oracle_judge_unsettled(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	volley_server_get_stats(server, &stats);
	world_blame("it does not settle: %llu are delivered, and %llu in truth; %llu packets and "
		    "%llu replies stand still, and %llu bytes are read by nobody",
		    (unsigned long long)stats.delivered, (unsigned long long)count_delivered(),
		    (unsigned long long)stats.rx_queued, (unsigned long long)stats.tx_queued,
		    (unsigned long long)stats.unread_bytes);
}
