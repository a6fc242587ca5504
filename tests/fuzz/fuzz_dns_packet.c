/* SPDX-License-Identifier: MIT */

/*
 * Any datagram into the packet path of volley-dns, over a zone with one of everything. Silence only
 * for what must be ignored; every answer fits its limit, belongs to its query, and is a message
 * that ldns can read.
 */

#include <stdbool.h> /* before ldns.h, which else makes bool a signed char */

#include <ldns/ldns.h>
#include <string.h>

#include "dns/respond.h"
#include "fuzz/fuzz.h"
#include "wire.h"

static void check(struct respond *r, const uint8_t *data, size_t n_data, size_t limit)
{
	static uint8_t out[DNS_MAX_MESSAGE];
	size_t n = respond(r, data, n_data, limit, out);
	ldns_pkt *packet = NULL;

	if (n == 0) {
		FUZZ_CHECK(n_data < DNS_HEADER_BYTES || data[2] & 0x80);
		return;
	}
	FUZZ_CHECK(n_data >= DNS_HEADER_BYTES && !(data[2] & 0x80));
	FUZZ_CHECK(n >= DNS_HEADER_BYTES);
	FUZZ_CHECK(n <= (limit == 0 ? dns_answer_limit(&r->query) : limit));
	FUZZ_CHECK(memcmp(out, data, 2) == 0 && out[2] & 0x80);
	FUZZ_CHECK((out[2] & 0x78) == (data[2] & 0x78));
	/* ldns judges a TSIG's data too, which is the query's. */
	if ((data[2] & 0x78) == 0 && r->query.tsig_at == 0)
		FUZZ_CHECK(ldns_wire2pkt(&packet, out, n) == LDNS_STATUS_OK);
	ldns_pkt_free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct respond r;

	if (r.rrl == NULL)
		respond_init(&r, SAMPLE_ZONE);
	if (size > DNS_MAX_MESSAGE)
		return 0;
	check(&r, data, size, 0);
	check(&r, data, size, DNS_MAX_MESSAGE);
	return 0;
}
