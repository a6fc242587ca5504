/* SPDX-License-Identifier: MIT */

/* Requests: every truncation of a real one, and what the counts and records of one decide. */

#include <criterion/criterion.h>
#include <string.h>

#include "query.h"
#include "wire.h"

static const struct dns_hash_key key = { { 3, 0x9e3779b97f4a7c15 } };

/* ID, RD, one question, one additional record: www.example. A IN, OPT with a cookie and NSID. */
static const uint8_t real[] = "\1\2\1\0\0\1\0\0\0\0\0\1"
			      "\3www\7example\0\0\1\0\1"
			      "\0\0\x29\x10\0\0\0\x80\0\0\x10"
			      "\0\x0a\0\x8"
			      "12345678"
			      "\0\3\0\0";
enum { REAL_BYTES = sizeof real - 1 };

static struct dns_query parse(const uint8_t *packet, size_t n)
{
	struct dns_query query;
	uint8_t *exact = malloc(n + 1);

	memcpy(exact, packet, n); /* so that a sanitizer sees a read beyond the end */
	exact = realloc(exact, n > 0 ? n : 1);
	dns_query_parse(&query, exact, n, &key);
	free(exact);
	return query;
}

static struct dns_query parse_changed(size_t at, uint8_t value)
{
	uint8_t packet[REAL_BYTES];

	memcpy(packet, real, sizeof packet);
	packet[at] = value;
	return parse(packet, sizeof packet);
}

Test(query, real)
{
	struct dns_query query = parse(real, REAL_BYTES);

	cr_expect_eq(query.verdict, DNS_VERDICT_LOOK_UP);
	cr_expect_eq(query.type, DNS_A);
	cr_expect_eq(query.class, DNS_CLASS_IN);
	cr_expect_eq(query.question_end, 29);
	cr_expect_eq(query.edns_bytes, 4096);
	cr_expect(query.do_bit);
	cr_expect(query.wants_nsid);
	cr_expect_eq(query.n_cookie, 8);
	cr_expect_arr_eq(query.cookie, "12345678", 8);
}

Test(query, every_truncation_is_an_error)
{
	for (size_t n = 0; n < REAL_BYTES; n++) {
		struct dns_query query = parse(real, n);

		cr_expect_eq(query.verdict, n < 12 ? DNS_VERDICT_DROP : DNS_VERDICT_ERROR, "%zu",
			     n);
		cr_expect(n < 12 || query.rcode == DNS_FORMERR);
	}
}

Test(query, responses_are_dropped)
{
	cr_expect_eq(parse_changed(2, 0x80).verdict, DNS_VERDICT_DROP);
}

Test(query, opcodes)
{
	for (uint32_t opcode = 1; opcode < 16; opcode++) {
		struct dns_query query = parse_changed(2, (uint8_t)(opcode << 3));

		cr_expect_eq(query.verdict, DNS_VERDICT_ERROR);
		cr_expect_eq(query.rcode, opcode == 4 ? DNS_REFUSED : DNS_NOTIMP);
		cr_expect_eq(query.question_end, DNS_HEADER_BYTES);
	}
}

Test(query, counts)
{
	static const size_t places[] = { 5, 7, 9 };

	for (size_t i = 0; i < 3; i++)
		cr_expect_eq(parse_changed(places[i], 2).rcode, DNS_FORMERR);
	cr_expect_eq(parse_changed(11, 0).rcode, DNS_FORMERR, "trailing bytes");
	cr_expect_eq(parse_changed(11, 255).rcode, DNS_FORMERR);
}

Test(query, types_that_are_no_data)
{
	static const struct {
		uint8_t type;
		uint16_t rcode;
	} cases[] = { { 252, DNS_REFUSED }, { 251, DNS_REFUSED }, { 253, DNS_NOTIMP },
		      { 254, DNS_NOTIMP },  { 41, DNS_FORMERR },  { 250, DNS_FORMERR } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct dns_query query = parse_changed(26, cases[i].type);

		cr_expect_eq(query.verdict, DNS_VERDICT_REFUSE);
		cr_expect_eq(query.rcode, cases[i].rcode);
	}
}

Test(query, edns)
{
	cr_expect_eq(parse_changed(35, 1).rcode, DNS_BADVERS);
	cr_expect_eq(parse_changed(32, 0).edns_bytes, 512, "less than 512 means 512");
	cr_expect_eq(parse_changed(29, 1).rcode, DNS_FORMERR, "OPT belongs to the root");
	cr_expect_eq(parse_changed(43, 7).rcode, DNS_FORMERR, "options that end in the middle");
}
