/* SPDX-License-Identifier: MIT */

/*
 * Any text into the zone path of volley-dns. What loads answers a few queries for each of its names
 * in messages that ldns can read; what does not has a reason.
 */

#include <stdbool.h> /* before ldns.h, which else makes bool a signed char */

#include <fcntl.h>
#include <ldns/ldns.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer.h"
#include "fuzz/fuzz.h"
#include "wire.h"
#include "zone_file.h"

enum { ENOUGH_BYTES = 8192 };

static const struct volley_addr peer = { .in = { .sin_family = AF_INET, .sin_port = 53 },
					 .len = 16 };

static size_t ask(struct dns_responder *responder, const uint8_t *name, uint16_t type)
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
	FUZZ_CHECK(query.verdict != DNS_VERDICT_DROP);
	request.zone = dns_answer_find_zone(responder, &query);
	n = dns_answer(responder, &request, out, DNS_MAX_MESSAGE, &result);
	FUZZ_CHECK(ldns_wire2pkt(&read, out, n) == LDNS_STATUS_OK);
	ldns_pkt_free(read);
	return n;
}

/* The answers of a name; their bytes. */
static size_t ask_node(struct dns_responder *responder, const struct dns_node *node)
{
	uint8_t below[2 + DNS_NAME_MAX] = { 1, 'x' };
	size_t n = ask(responder, dns_node_name(node), DNS_A) +
		   ask(responder, dns_node_name(node), DNS_ANY);

	for (uint32_t i = 0; i < node->n_rrsets && i < 4; i++)
		n += ask(responder, dns_node_name(node), node->rrsets[i].type);
	memcpy(below + 2, dns_node_name(node), node->n_name);
	if (node->n_name <= DNS_NAME_MAX - 2)
		n += ask(responder, below, DNS_MX);
	return n;
}

/* Until enough was read: big zones would hold the fuzzer up. */
static void ask_all(struct dns_responder *responder, const struct dns_zone *zone)
{
	size_t n = 0;

	for (size_t i = 0; i <= zone->n_slots_mask && n < ENOUGH_BYTES; i++)
		if (zone->slots[i].node != 0)
			n += ask_node(responder, dns_zone_at(zone, zone->slots[i].node));
}

/* Only a file can include one: itself, called "z", in a folder of its own with a folder "d". */
static char folder[] = "/tmp/volley-fuzz-XXXXXX";
static char path[sizeof folder + 2];
static char inner[sizeof folder + 2];

static void clean_up(void)
{
	unlink(path);
	rmdir(inner);
	rmdir(folder);
}

static int load_file(const uint8_t *data, size_t size, const uint8_t *apex,
		     const struct dns_hash_key *key, struct dns_zone **ret_zone, char *why)
{
	static int fd = -1;

	if (fd < 0) {
		FUZZ_CHECK(mkdtemp(folder) != NULL);
		snprintf(path, sizeof path, "%s/z", folder);
		snprintf(inner, sizeof inner, "%s/d", folder);
		mkdir(inner, 0700);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		atexit(clean_up);
	}
	FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
	FUZZ_CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
	return dns_zone_file_load(path, apex, key, ret_zone, why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_responder responder = { .key = { { 1, 0x9e3779b97f4a7c15 } } };
	char why[DNS_WHY_BYTES] = "";
	uint8_t apex[DNS_NAME_MAX];
	struct dns_catalog *catalog;
	struct dns_zone *zone;
	int r;

	FUZZ_CHECK(dns_zone_file_name("example.org", apex) == 0);
	if (memmem(data, size, "$INC", 4) != NULL)
		r = load_file(data, size, apex, &responder.key, &zone, why);
	else
		r = dns_zone_file_load_text((const char *)data, size, apex, &responder.key, &zone,
					    why);
	if (r < 0) {
		FUZZ_CHECK(why[0] != '\0');
		return 0;
	}
	catalog = dns_catalog_new(&zone, 1);
	FUZZ_CHECK(catalog != NULL);
	dns_answer_set_catalog(&responder, catalog);
	ask_all(&responder, zone);
	dns_catalog_unref(catalog);
	return 0;
}
