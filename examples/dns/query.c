/* SPDX-License-Identifier: MIT */

/*
 * Requests. RFC 8906 and RFC 9619 say what an odd one deserves: an answer, whatever it is, unless
 * it is itself a response or no DNS message at all.
 *
 *     header -> opcode -> counts -> question -> additional records -> meta types
 *
 * The work is bounded by the counts that are accepted: one question and at most N_ADDITIONAL
 * records, each name in which is walked once. Nothing is written to the packet.
 */

#include "query.h"

#include <string.h>

#include "wire.h"

/* OPT and TSIG are all that a query carries; some room for what is still to be invented. */
enum { N_ADDITIONAL = 4 };

/* Type, class, TTL and length of a record. */
enum { RECORD_BYTES = 10, OPTION_BYTES = 4 };

static void decide(struct dns_query *query, enum dns_verdict verdict, uint16_t rcode)
{
	query->verdict = verdict;
	query->rcode = rcode;
}

static void take_cookie(struct dns_query *query, const uint8_t *data, size_t n)
{
	if (n != DNS_COOKIE_CLIENT_BYTES &&
	    (n < 2 * DNS_COOKIE_CLIENT_BYTES || n > DNS_COOKIE_MAX_BYTES)) {
		decide(query, DNS_VERDICT_ERROR, DNS_FORMERR); /* RFC 7873, 5.2.2 */
		return;
	}
	query->n_cookie = (uint8_t)n;
	memcpy(query->cookie, data, n);
}

static void take_options(struct dns_query *query, const uint8_t *data, size_t n)
{
	while (n >= OPTION_BYTES) {
		uint16_t code = dns_get16(data);
		size_t length = dns_get16(data + 2);

		if (length > n - OPTION_BYTES)
			break;
		if (code == DNS_OPTION_COOKIE && query->n_cookie == 0)
			take_cookie(query, data + OPTION_BYTES, length);
		else if (code == DNS_OPTION_NSID)
			query->wants_nsid = true;
		data += OPTION_BYTES + length;
		n -= OPTION_BYTES + length;
	}
	if (n != 0)
		decide(query, DNS_VERDICT_ERROR, DNS_FORMERR);
}

static void take_opt(struct dns_query *query, const uint8_t *record, size_t n_data)
{
	uint16_t size = dns_get16(record + 2);
	uint8_t version = record[5];

	query->edns_bytes = size < 512 ? 512 : size; /* RFC 6891, 6.2.3 */
	query->do_bit = (record[6] & 0x80) != 0;
	take_options(query, record + RECORD_BYTES, n_data);
	if (version != 0 && query->verdict != DNS_VERDICT_ERROR)
		decide(query, DNS_VERDICT_REFUSE, DNS_BADVERS);
}

/* One additional record; its end, or 0 for a malformed one. */
static size_t take_record(struct dns_query *query, const uint8_t *packet, size_t n, size_t at)
{
	size_t begin = at;
	size_t n_name = dns_name_measure(packet + at, n - at);
	const uint8_t *record;
	size_t n_data;

	/* A compressed owner: neither OPT nor TSIG, but well-formed. */
	if (n_name == 0 && n - at >= 2 && packet[at] >= 0xc0)
		n_name = 2;
	at += n_name;
	if (n_name == 0 || n - at < RECORD_BYTES)
		return 0;
	record = packet + at;
	n_data = dns_get16(record + 8);
	at += RECORD_BYTES;
	if (n_data > n - at || query->tsig_at != 0) /* TSIG is the last one, RFC 8945, 5.1 */
		return 0;
	if (dns_get16(record) == DNS_OPT) {
		if (n_name != 1 || query->edns_bytes != 0)
			return 0;
		take_opt(query, record, n_data);
	} else if (dns_get16(record) == DNS_TSIG) {
		query->tsig_at = (uint16_t)begin;
		query->tsig_end = (uint16_t)(at + n_data);
	}
	return at + n_data;
}

static bool take_additional(struct dns_query *query, const uint8_t *packet, size_t n, size_t at)
{
	uint32_t n_records = dns_get16(packet + 10);

	if (n_records > N_ADDITIONAL)
		return false;
	while (n_records-- > 0) {
		at = take_record(query, packet, n, at);
		if (at == 0)
			return false;
	}
	return at == n;
}

static bool take_question(struct dns_query *query, const uint8_t *packet, size_t n,
			  const struct dns_hash_key *key)
{
	size_t n_name = dns_name_take(&query->name, packet + DNS_HEADER_BYTES, n - DNS_HEADER_BYTES,
				      key);
	size_t at = DNS_HEADER_BYTES + n_name;

	if (n_name == 0 || n - at < 4)
		return false;
	query->type = dns_get16(packet + at);
	query->class = dns_get16(packet + at + 2);
	query->question_end = (uint16_t)(at + 4);
	return true;
}

/* Types that ask for something else than data, and classes. */
static void judge_question(struct dns_query *query)
{
	if (query->type == DNS_AXFR || query->type == DNS_IXFR)
		decide(query, DNS_VERDICT_REFUSE, DNS_REFUSED);
	else if (query->type == DNS_MAILA || query->type == DNS_MAILB)
		decide(query, DNS_VERDICT_REFUSE, DNS_NOTIMP);
	else if (query->type == DNS_OPT || query->type == DNS_TSIG)
		decide(query, DNS_VERDICT_REFUSE, DNS_FORMERR);
}

static void parse_query(struct dns_query *query, const uint8_t *packet, size_t n,
			const struct dns_hash_key *key)
{
	uint32_t n_questions = dns_get16(packet + 4);
	uint32_t n_authority = dns_get16(packet + 8);

	if (n_questions > 1 || dns_get16(packet + 6) != 0 || n_authority > 1 ||
	    (n_questions == 1 && !take_question(query, packet, n, key)) ||
	    (n_authority != 0 && query->type != DNS_IXFR)) {
		decide(query, DNS_VERDICT_ERROR, DNS_FORMERR);
		return;
	}
	if (n_authority != 0) { /* the SOA of an IXFR, which is refused anyway */
		decide(query, DNS_VERDICT_REFUSE, DNS_REFUSED);
		return;
	}
	query->verdict = DNS_VERDICT_LOOK_UP;
	if (!take_additional(query, packet, n, query->question_end))
		decide(query, DNS_VERDICT_ERROR, DNS_FORMERR);
	if (query->verdict == DNS_VERDICT_LOOK_UP && n_questions == 0) /* RFC 7873, 5.4 */
		decide(query, query->n_cookie > 0 ? DNS_VERDICT_REFUSE : DNS_VERDICT_ERROR,
		       query->n_cookie > 0 ? DNS_NOERROR : DNS_FORMERR);
	if (query->verdict == DNS_VERDICT_LOOK_UP && query->tsig_at != 0)
		decide(query, DNS_VERDICT_REFUSE, DNS_NOTAUTH);
	if (query->verdict == DNS_VERDICT_LOOK_UP)
		judge_question(query);
}

void dns_query_parse(struct dns_query *query, const uint8_t *packet, size_t n,
		     const struct dns_hash_key *key)
{
	memset(query, 0, offsetof(struct dns_query, name));
	if (n < DNS_HEADER_BYTES || packet[2] & 0x80)
		return;
	query->flags = dns_get16(packet + 2);
	query->question_end = DNS_HEADER_BYTES;
	switch ((query->flags & DNS_OPCODE) >> 11) {
	case DNS_OPCODE_QUERY:
		parse_query(query, packet, n, key);
		break;
	case DNS_OPCODE_NOTIFY: /* nobody is our primary */
		decide(query, DNS_VERDICT_ERROR, DNS_REFUSED);
		break;
	default:
		decide(query, DNS_VERDICT_ERROR, DNS_NOTIMP);
		break;
	}
	/* An error's answer is a header: nothing of a broken message is sent back. */
	if (query->verdict == DNS_VERDICT_ERROR) {
		query->question_end = DNS_HEADER_BYTES;
		query->edns_bytes = 0;
		query->tsig_at = 0;
	}
}
