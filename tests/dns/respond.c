/* SPDX-License-Identifier: MIT */

/* The packet path of volley-dns for tests without a socket. */

#include "respond.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"
#include "zone_file.h"

/* Wide apart, so that a limit is neither always nor never reached. */
enum { NOW = 1800000000, RATE = 100, SLIP = 2 };

/* Zones beside the file's: below one of its cuts, aliases of it, and of everything. */
static const struct {
	const char *apex;
	const char *text;
} more[] = {
	{ "child.example.org", "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nup CNAME www.example.org.\n"
			       "here DS 1 13 2 00\n" },
	{ "alias.test", "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ DNAME example.org.\n" },
	{ "short.test", "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\na DNAME .\nb CNAME x.broken.\n" },
};
enum { N_MORE = sizeof more / sizeof more[0] };

static void require(bool condition, const char *why)
{
	if (condition)
		return;
	fprintf(stderr, "%s\n", why);
	abort();
}

static void load(struct respond *r, const char *path)
{
	const struct dns_hash_key *key = &r->responder.key;
	struct dns_zone *zones[2 + N_MORE];
	char why[DNS_WHY_BYTES] = "no memory";
	uint8_t apex[DNS_NAME_MAX];

	require(dns_zone_file_name("example.org", apex) == 0, "name");
	require(dns_zone_file_load(path, apex, key, &zones[0], why) == 0, why);
	require(dns_zone_file_name("broken", apex) == 0, "name");
	zones[1] = dns_zone_new_broken(apex, key);
	for (size_t i = 0; i < N_MORE; i++) {
		require(dns_zone_file_name(more[i].apex, apex) == 0, "name");
		require(dns_zone_file_load_text(more[i].text, strlen(more[i].text), apex, key,
						&zones[2 + i], why) == 0,
			why);
	}
	r->catalog = dns_catalog_new(zones, 2 + N_MORE);
	require(r->catalog != NULL, "no memory");
	dns_answer_set_catalog(&r->responder, r->catalog);
}

void respond_init(struct respond *r, const char *path)
{
	memset(r, 0, sizeof *r);
	r->responder.key = (struct dns_hash_key){ { 1, 0x9e3779b97f4a7c15 } };
	r->responder.id = "id";
	r->responder.version = "version";
	r->rrl = dns_rrl_new(RATE, SLIP, r->responder.cookies.master);
	require(r->rrl != NULL, "no memory");
	load(r, path);
}

void respond_fini(struct respond *r)
{
	dns_rrl_free(r->rrl);
	dns_catalog_unref(r->catalog);
}

/* The first byte of the ID says who asks and when. */
static void get_peer(uint8_t choice, struct volley_addr *ret_peer)
{
	memset(ret_peer, 0, sizeof *ret_peer);
	ret_peer->len = sizeof ret_peer->in;
	ret_peer->in.sin_family = AF_INET;
	if (choice % 4 < 2)
		return;
	ret_peer->len = sizeof ret_peer->in6;
	ret_peer->in6.sin6_family = AF_INET6;
	if (choice % 4 == 3) /* mapped */
		memset(ret_peer->in6.sin6_addr.s6_addr + 10, 0xff, 2);
}

/* What serve.c does for a volley, here of one. */
static const struct dns_zone *find_zone(struct respond *r)
{
	const struct dns_zone *zone = dns_answer_find_zone(&r->responder, &r->query);

	if (zone != NULL && !zone->is_broken) {
		dns_zone_prefetch_slot(zone, &r->query.name);
		dns_zone_prefetch_node(zone, &r->query.name);
	}
	return zone;
}

size_t respond(struct respond *r, const uint8_t *data, size_t n, size_t limit, uint8_t *out)
{
	struct volley_addr peer;
	struct dns_request request = { .query = &r->query, .packet = data, .peer = &peer };
	bool is_udp = limit == 0;

	dns_query_parse(&r->query, data, n, &r->responder.key);
	if (r->query.verdict == DNS_VERDICT_DROP)
		return 0;
	get_peer(data[0], &peer);
	r->responder.now = NOW + data[0] / 4;
	request.zone = find_zone(r);
	n = dns_answer(&r->responder, &request, out, is_udp ? dns_answer_limit(&r->query) : limit,
		       &r->answer);
	if (is_udp &&
	    dns_rrl_check(r->rrl, &peer, r->answer.kind, r->responder.now) == DNS_RRL_SLIP)
		n = dns_answer_slip(&r->query, out);
	return n;
}
