/* SPDX-License-Identifier: MIT */

/*
 * Names. A query's name is walked twice: from the left for its label lengths, from the right for
 * the hashes, of which each extends that of the shorter name. So one pass gives the hash of every
 * ancestor, and the zone and the closest encloser are found without hashing again. A name that is
 * deeper than all there are is not hashed to its end: who sends such names shall not cost more.
 *
 * The hash is a keyed folded multiplication over words of 8 bytes. It need not withstand flooding:
 * tables are filled from zone files alone, so a query can do no worse than probe the longest run of
 * a table that nobody could aim at without knowing the key. Equality is always decided by the
 * bytes.
 *
 * Lower case is made 8 bytes at a time. Label lengths are at most 63 and so below 'A': they come
 * through unchanged.
 */

#include "name.h"

#include <string.h>

enum { MAX_LABEL = 63, WORD = 8 };

#define EACH_BYTE(x) (UINT64_C(0x0101010101010101) * (x))

/* Adds 0x20 to each byte in 'A' to 'Z'. The top bit tells which bytes are no ASCII. */
static uint64_t lower8(uint64_t word)
{
	uint64_t low7 = word & EACH_BYTE(0x7f);
	uint64_t from_a = low7 + EACH_BYTE(0x80 - 'A');
	uint64_t after_z = low7 + EACH_BYTE(0x80 - 'Z' - 1);

	return word | ((from_a & ~after_z & ~word & EACH_BYTE(0x80)) >> 2);
}

static uint64_t load8(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	return word;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* One label with its length byte, on top of the hash of what follows it. */
static uint64_t hash_label(uint64_t hash, const uint8_t *label, const struct dns_hash_key *key)
{
	size_t n = (size_t)label[0] + 1;

	for (; n > WORD; n -= WORD, label += WORD)
		hash = fold(hash ^ load8(label), key->k[1]);
	/* Bytes come lowest first on little-endian machines; elsewhere only the key differs. */
	return fold(hash ^ (load8(label) << (8 * (WORD - n))), key->k[1]);
}

size_t dns_name_take(struct dns_name *name, const uint8_t *wire, size_t n,
		     const struct dns_hash_key *key)
{
	uint64_t hash = key->k[0];
	uint32_t n_labels = 0;
	uint32_t n_hashed;
	size_t at = 0;

	if (n > DNS_NAME_MAX)
		n = DNS_NAME_MAX;
	while (at < n && wire[at] != 0) {
		if (wire[at] > MAX_LABEL)
			return 0;
		name->offsets[n_labels++] = (uint8_t)at;
		at += (size_t)wire[at] + 1;
	}
	if (at >= n)
		return 0;
	name->offsets[n_labels] = (uint8_t)at++;
	name->n_bytes = (uint8_t)at;
	name->n_labels = (uint8_t)n_labels;
	memcpy(name->bytes, wire, at);
	for (size_t i = 0; i < at; i += WORD) {
		uint64_t word = lower8(load8(name->bytes + i));

		memcpy(name->bytes + i, &word, sizeof word);
	}
	n_hashed = key->max_labels == 0 || n_labels < key->max_labels ? n_labels : key->max_labels;
	name->hashes[0] = 0; /* where it is not reached, it is only asked for in advance */
	name->hashes[n_labels] = (uint32_t)hash;
	while (n_hashed-- > 0) {
		n_labels--;
		hash = hash_label(hash, name->bytes + name->offsets[n_labels], key);
		name->hashes[n_labels] = (uint32_t)(hash >> 32);
	}
	return at;
}

size_t dns_name_measure(const uint8_t *wire, size_t n)
{
	size_t at = 0;

	if (n > DNS_NAME_MAX)
		n = DNS_NAME_MAX;
	while (at < n && wire[at] != 0) {
		if (wire[at] > MAX_LABEL)
			return 0;
		at += (size_t)wire[at] + 1;
	}
	return at < n ? at + 1 : 0;
}

bool dns_name_equals(const struct dns_name *name, uint32_t i, const uint8_t *bytes, size_t n)
{
	return dns_name_suffix_bytes(name, i) == n &&
	       memcmp(name->bytes + name->offsets[i], bytes, n) == 0;
}

static char *put_char(char *text, char *end, uint8_t c)
{
	uint8_t digits[4] = { '\\', (uint8_t)('0' + c / 100), (uint8_t)('0' + c / 10 % 10),
			      (uint8_t)('0' + c % 10) };
	bool plain = c > ' ' && c < 0x7f;
	bool special = strchr(".\\\"();@$", c) != NULL && c != 0;
	size_t n = plain ? 1 : sizeof digits;

	if (plain && special) {
		digits[1] = c;
		n = 2;
	}
	if ((size_t)(end - text) <= n)
		return end;
	memcpy(text, plain && !special ? &c : digits, n);
	return text + n;
}

void dns_name_format(const uint8_t *wire, char *text, size_t n_text)
{
	char *end = text + n_text - 1;

	if (*wire == 0 && text < end)
		*text++ = '.';
	while (*wire != 0) {
		uint32_t n = *wire++;

		while (n-- > 0)
			text = put_char(text, end, *wire++);
		if (text < end)
			*text++ = '.';
	}
	*text = '\0';
}
