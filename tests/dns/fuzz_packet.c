/* SPDX-License-Identifier: MIT */

/*
 * libFuzzer: any datagram into the packet path, over a zone with one of everything. Silence only
 * for what must be ignored; every answer fits its limit, belongs to its query, and is a message
 * that ldns can read.
 */

#include <stdbool.h> /* before ldns.h, which else makes bool a signed char */

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "wire.h"
#include "zone_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct volley_addr peer = { .in = { .sin_family = AF_INET, .sin_port = 53 },
					 .len = 16 };

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void load(struct dns_responder *responder)
{
	char why[DNS_WHY_BYTES];
	uint8_t apex[DNS_NAME_MAX];
	struct dns_zone *zone;

	responder->key = (struct dns_hash_key){ { 1, 0x9e3779b97f4a7c15 } };
	responder->id = "id";
	responder->version = "version";
	responder->now = 1800000000;
	require(dns_zone_file_name("example.org", apex) == 0);
	if (dns_zone_file_load(SAMPLE, apex, &responder->key, &zone, why) < 0) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	responder->catalog = dns_catalog_new(&zone, 1);
	require(responder->catalog != NULL);
}

static void answer(struct dns_responder *responder, const struct dns_query *query,
		   const uint8_t *data, size_t limit)
{
	static uint8_t out[DNS_MAX_MESSAGE];
	struct dns_request request = { .query = query, .packet = data, .peer = &peer };
	struct dns_answer result;
	ldns_pkt *packet = NULL;
	size_t n;

	request.zone = dns_answer_find_zone(responder, query);
	n = dns_answer(responder, &request, out, limit, &result);
	require(n >= DNS_HEADER_BYTES && n <= limit);
	require(memcmp(out, data, 2) == 0 && out[2] & 0x80);
	require((out[2] & 0x78) == (data[2] & 0x78));
	if ((data[2] & 0x78) == 0 && query->tsig_at == 0)
		require(ldns_wire2pkt(&packet, out, n) == LDNS_STATUS_OK);
	ldns_pkt_free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct dns_responder responder;
	struct dns_query query;

	if (responder.catalog == NULL)
		load(&responder);
	if (n > DNS_MAX_MESSAGE)
		return 0;
	dns_query_parse(&query, data, n, &responder.key);
	if (query.verdict == DNS_VERDICT_DROP) {
		require(n < DNS_HEADER_BYTES || data[2] & 0x80);
		return 0;
	}
	answer(&responder, &query, data, dns_answer_limit(&query));
	answer(&responder, &query, data, DNS_MAX_MESSAGE);
	return 0;
}
