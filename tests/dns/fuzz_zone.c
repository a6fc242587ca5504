/* SPDX-License-Identifier: MIT */

/*
 * libFuzzer: any text into the zone path. What loads answers a few queries for each of its names in
 * messages that ldns can read; what does not has a reason.
 */

#include <stdbool.h> /* before ldns.h, which else makes bool a signed char */

#include <ldns/ldns.h>
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

static void ask(struct dns_responder *responder, const uint8_t *name, uint16_t type)
{
	static uint8_t out[DNS_MAX_MESSAGE];
	size_t n_name = dns_name_measure(name, DNS_NAME_MAX);
	uint8_t packet[DNS_HEADER_BYTES + DNS_NAME_MAX + 4] = { [5] = 1 };
	struct dns_query query;
	struct dns_request request = { .query = &query, .packet = packet, .peer = &peer };
	struct dns_answer result;
	ldns_pkt *read = NULL;
	size_t n = DNS_HEADER_BYTES + n_name;

	memcpy(packet + DNS_HEADER_BYTES, name, n_name);
	dns_put16(packet + n, type);
	dns_put16(packet + n + 2, DNS_CLASS_IN);
	dns_query_parse(&query, packet, n + 4, &responder->key);
	require(query.verdict != DNS_VERDICT_DROP);
	request.zone = dns_answer_find_zone(responder, &query);
	n = dns_answer(responder, &request, out, DNS_MAX_MESSAGE, &result);
	if (ldns_wire2pkt(&read, out, n) != LDNS_STATUS_OK)
		abort();
	ldns_pkt_free(read);
}

static void ask_all(struct dns_responder *responder, const struct dns_zone *zone)
{
	for (size_t i = 0; i <= zone->n_slots_mask && i < 64; i++) {
		const struct dns_node *node;
		uint8_t below[2 + DNS_NAME_MAX] = { 1, 'x' };

		if (zone->slots[i].node == 0)
			continue;
		node = dns_zone_at(zone, zone->slots[i].node);
		ask(responder, dns_node_name(node), DNS_A);
		ask(responder, dns_node_name(node), DNS_ANY);
		for (uint32_t k = 0; k < node->n_rrsets && k < 4; k++)
			ask(responder, dns_node_name(node), node->rrsets[k].type);
		memcpy(below + 2, dns_node_name(node), node->n_name);
		if (node->n_name <= DNS_NAME_MAX - 2)
			ask(responder, below, DNS_MX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dns_responder responder = { .key = { { 1, 0x9e3779b97f4a7c15 } } };
	char why[DNS_WHY_BYTES] = "";
	uint8_t apex[DNS_NAME_MAX];
	struct dns_catalog *catalog;
	struct dns_zone *zone;

	require(dns_zone_file_name("example.org", apex) == 0);
	if (dns_zone_file_load_text((const char *)data, n, apex, &responder.key, &zone, why) < 0) {
		require(why[0] != '\0');
		return 0;
	}
	catalog = dns_catalog_new(&zone, 1);
	require(catalog != NULL);
	responder.catalog = catalog;
	ask_all(&responder, zone);
	dns_catalog_unref(catalog);
	return 0;
}
