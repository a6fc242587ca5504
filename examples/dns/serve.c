/* SPDX-License-Identifier: MIT */

/*
 * The packet callback. A volley is walked in three passes, so that the memory which a look-up needs
 * is on its way while others are parsed: with a million names hardly any query finds its name in
 * the cache.
 *
 *     parse, hash, ask for the slot  ->  read the slot, ask for the node  ->  answer
 *
 * Answers are written over their queries where there is room (the question stays as it is), else
 * into volley's send arena.
 */

#include "serve.h"

#include <time.h>

#include "wire.h"

static uint32_t get_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (uint32_t)now.tv_sec;
}

/* The answer's length after rate limiting; 0 for none. A good cookie shows a real client. */
static size_t limit_rate(struct dns_worker *w, const struct dns_request *request,
			 const struct dns_answer *answer, uint8_t *out, size_t n)
{
	if (answer->has_good_cookie)
		return n;
	switch (dns_rrl_check(w->rrl, request->peer, answer->kind, w->responder.now)) {
	case DNS_RRL_SEND:
		return n;
	case DNS_RRL_SLIP:
		dns_counts_add(&w->counts, DNS_COUNT_RRL_SLIPPED, 1);
		return dns_answer_slip(request->query, out);
	default:
		dns_counts_add(&w->counts, DNS_COUNT_RRL_DROPPED, 1);
		return 0;
	}
}

static void reply(struct dns_worker *w, struct volley_packet *packet,
		  const struct dns_request *request)
{
	size_t limit = dns_answer_limit(request->query);
	struct dns_answer answer;
	uint8_t *out = packet->data;
	size_t n;

	if (packet->capacity < limit)
		out = volley_packet_reply_buffer(packet, limit, NULL);
	if (out == NULL) {
		dns_counts_add(&w->counts, DNS_COUNT_NO_ROOM, 1);
		return;
	}
	n = dns_answer(&w->responder, request, out, limit, &answer);
	if (answer.has_good_cookie)
		dns_counts_add(&w->counts, DNS_COUNT_GOOD_COOKIES, 1);
	if (answer.is_truncated)
		dns_counts_add(&w->counts, DNS_COUNT_TRUNCATED, 1);
	if (w->rrl != NULL)
		n = limit_rate(w, request, &answer, out, n);
	if (n == 0)
		return;
	dns_counts_add_answer(&w->counts, answer.rcode, packet->len, n);
	volley_packet_reply(packet, out, n);
}

static void serve_together(struct dns_worker *w, struct volley_packet *packets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct dns_query *query = &w->queries[i];

		dns_query_parse(query, packets[i].data, packets[i].len, &w->responder.key);
		w->zones[i] = dns_answer_find_zone(&w->responder, query);
		if (w->zones[i] != NULL && !w->zones[i]->is_broken)
			dns_zone_prefetch_slot(w->zones[i], &query->name);
	}
	for (size_t i = 0; i < n; i++)
		if (w->zones[i] != NULL && !w->zones[i]->is_broken)
			dns_zone_prefetch_node(w->zones[i], &w->queries[i].name);
	for (size_t i = 0; i < n; i++) {
		struct dns_request request = { .query = &w->queries[i],
					       .zone = w->zones[i],
					       .packet = packets[i].data,
					       .peer = packets[i].peer };

		if (w->queries[i].verdict == DNS_VERDICT_DROP) {
			dns_counts_add(&w->counts, DNS_COUNT_IGNORED, 1);
			continue;
		}
		dns_counts_add(&w->counts, DNS_COUNT_QUERIES, 1);
		reply(w, &packets[i], &request);
	}
}

void dns_serve(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	struct dns_worker *w = volley_worker_get_data(worker);

	(void)arg;
	w->responder.now = get_time();
	while (n > 0) {
		size_t n_now = n < DNS_N_TOGETHER ? n : DNS_N_TOGETHER;

		serve_together(w, packets, n_now);
		packets += n_now;
		n -= n_now;
	}
}
