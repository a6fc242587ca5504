/* SPDX-License-Identifier: MIT */

/* Names: what is one, lower case, suffixes and their hashes, text. */

#include <criterion/criterion.h>
#include <string.h>

#include "name.h"

static const struct dns_hash_key key = { { 3, 0x9e3779b97f4a7c15 } };

static size_t take(struct dns_name *name, const char *wire)
{
	return dns_name_take(name, (const uint8_t *)wire, strlen(wire) + 1, &key);
}

Test(name, taken_apart)
{
	struct dns_name name;

	cr_assert_eq(take(&name, "\3WwW\7eXAmple\3org"), 17);
	cr_expect_eq(name.n_labels, 3);
	cr_expect_eq(name.n_bytes, 17);
	cr_expect_str_eq((const char *)name.bytes, "\3www\7example\3org");
	cr_expect(dns_name_equals(&name, 1, (const uint8_t *)"\7example\3org", 13));
	cr_expect_not(dns_name_equals(&name, 1, (const uint8_t *)"\7exampla\3org", 13));
	cr_expect(dns_name_equals(&name, 3, (const uint8_t *)"", 1));
}

Test(name, only_letters_change_case)
{
	struct dns_name name;
	char wire[65] = { 63 };

	for (int first = 1; first < 256; first += 63) {
		for (int i = 0; i < 63; i++)
			wire[1 + i] = (char)(first + i > 255 ? 255 : first + i);
		cr_assert_eq(take(&name, wire), 65);
		for (int i = 0; i < 63; i++)
			cr_expect_eq(name.bytes[1 + i], dns_name_lower((uint8_t)wire[1 + i]));
	}
}

Test(name, a_suffix_has_its_own_hash)
{
	struct dns_name whole, suffix;

	take(&whole, "\1a\21a-long-label-here\3org");
	take(&suffix, "\21A-LONG-LABEL-HERE\3ORG");
	cr_expect_eq(whole.hashes[1], suffix.hashes[0]);
	cr_expect_eq(whole.hashes[2], suffix.hashes[1]);
	cr_expect_neq(whole.hashes[0], whole.hashes[1]);
	take(&suffix, "\21a-long-label-herf\3org");
	cr_expect_neq(whole.hashes[1], suffix.hashes[0]);
}

Test(name, what_is_none)
{
	struct dns_name name;
	char wire[300] = { 0 };

	cr_expect_eq(dns_name_take(&name, (const uint8_t *)"\3ab", 3, &key), 0, "cut off");
	cr_expect_eq(dns_name_take(&name, (const uint8_t *)"\1a", 2, &key), 0, "without a root");
	cr_expect_eq(dns_name_take(&name, (const uint8_t *)"", 0, &key), 0, "empty");
	cr_expect_eq(take(&name, "\xc0\x0c"), 0, "a pointer");
	cr_expect_eq(take(&name, "\100a"), 0, "another label type");
	for (int i = 0; i < 127; i++)
		memcpy(wire + 2 * i, "\1x", 2);
	cr_expect_eq(take(&name, wire), 255);
	cr_expect_eq(name.n_labels, 127);
	memcpy(wire + 254, "\1x", 2);
	cr_expect_eq(take(&name, wire), 0, "256 bytes");
}

Test(name, as_text)
{
	char text[DNS_NAME_TEXT_BYTES];

	dns_name_format((const uint8_t *)"\3a.b\2\\\1\3org", text, sizeof text);
	cr_expect_str_eq(text, "a\\.b.\\\\\\001.org.");
	dns_name_format((const uint8_t *)"", text, sizeof text);
	cr_expect_str_eq(text, ".");
	dns_name_format((const uint8_t *)"\7example", text, 5);
	cr_expect_eq(strlen(text), 4);
}
