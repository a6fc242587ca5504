/* SPDX-License-Identifier: MIT */

/*
 * Answers are written once, at load: each with its records, compressed against the name in question
 * (which stands at offset 12 of every message) and against themselves, and with the additional data
 * it would need. struct dns_blob in zone.h says how one blob serves questions of different lengths.
 *
 * Invariants. A pointer in a blob is below MAX_POINTER, so that it can still be moved behind a
 * chain of CNAMEs. Optional additional data stands last. Nodes lie in the order in which the zone
 * file brought them, each followed by its own answers, so a look-up reads forward.
 */

#include "zone_encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "wire.h"
#include "zone_data.h"

enum {
	MAX_BODY = 65000,
	/*
	 * 14 bits, less the longest chain that can stand before a blob: answer.c's 8 links of at
	 * most 2 * 267 bytes.
	 */
	MAX_POINTER = 0x3fff - 8 * 2 * 267,
	/* Optional additional data beyond this helps nobody: most of it would not be sent. */
	MAX_OPTIONAL = 4096,
	N_KNOWN = 128, /* names to compress against */
	FIRST_BYTES = 1 << 16,
	HUGE_FROM_BYTES = 8 << 20, /* a page is 2 MiB: at most a quarter is wasted */
};

struct known {
	const uint8_t *name;
	uint32_t pointer; /* its offset in the message */
	uint32_t n_bytes;
};

struct encoder {
	struct dns_build *build;
	uint8_t *base; /* the zone's memory */
	size_t n_base;
	size_t n_used;
	/* the answer at hand */
	uint8_t *body;
	uint32_t n;
	uint32_t n_anchor;
	uint32_t n_relocs;
	uint32_t n_known;
	bool is_full;
	uint16_t n_bytes_must;
	uint16_t n_answer;
	uint16_t n_authority;
	uint16_t n_additional;
	uint16_t n_additional_must;
	uint16_t relocs[MAX_BODY / 14 * 3]; /* MINFO: two names in 14 bytes */
	struct known known[N_KNOWN + DNS_LABELS_MAX + 1];
};

/* One answer ----------------------------------------------------------------------------------- */

static void know(struct encoder *e, const uint8_t *name, uint32_t n_bytes, uint32_t pointer,
		 uint32_t limit)
{
	if (e->n_known < limit && pointer < MAX_POINTER)
		e->known[e->n_known++] = (struct known){ name, pointer, n_bytes };
}

static void begin(struct encoder *e, const uint8_t *anchor, uint32_t n_anchor)
{
	e->n_bytes_must = 0;
	e->n_answer = 0;
	e->n_authority = 0;
	e->n_additional = 0;
	e->n_additional_must = 0;
	e->n = 0;
	e->n_relocs = 0;
	e->n_known = 0;
	e->is_full = false;
	e->n_anchor = n_anchor;
	for (uint32_t at = 0; anchor[at] != 0; at += (uint32_t)anchor[at] + 1)
		know(e, anchor + at, n_anchor - at, DNS_HEADER_BYTES + at,
		     N_KNOWN + DNS_LABELS_MAX);
}

static void put(struct encoder *e, const void *data, uint32_t n)
{
	if (n > MAX_BODY - e->n) {
		e->is_full = true;
		return;
	}
	memcpy(e->body + e->n, data, n);
	e->n += n;
}

static void put16(struct encoder *e, uint32_t value)
{
	uint8_t bytes[2];

	dns_put16(bytes, value);
	put(e, bytes, sizeof bytes);
}

static void put_pointer(struct encoder *e, uint32_t pointer)
{
	if (e->n_relocs == sizeof e->relocs / sizeof e->relocs[0]) {
		e->is_full = true;
		return;
	}
	e->relocs[e->n_relocs++] = (uint16_t)e->n;
	put16(e, 0xc000 | pointer);
}

static bool is_same(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (dns_name_lower(a[i]) != dns_name_lower(b[i]))
			return false;
	return true;
}

static const struct known *find_known(const struct encoder *e, const uint8_t *name, uint32_t n)
{
	for (uint32_t i = 0; i < e->n_known; i++)
		if (e->known[i].n_bytes == n && is_same(e->known[i].name, name, n))
			return &e->known[i];
	return NULL;
}

static void put_name(struct encoder *e, const uint8_t *name)
{
	uint32_t n = (uint32_t)dns_name_measure(name, DNS_NAME_MAX);
	uint32_t base = DNS_HEADER_BYTES + e->n_anchor + 4; /* behind the question */

	for (; *name != 0; n -= (uint32_t)*name + 1, name += (uint32_t)*name + 1) {
		const struct known *known = find_known(e, name, n);

		if (known != NULL) {
			put_pointer(e, known->pointer);
			return;
		}
		know(e, name, n, base + e->n, N_KNOWN);
		put(e, name, (uint32_t)*name + 1);
	}
	put(e, name, 1);
}

/* A name at `at` in the body that is not compressed itself, but others may be against it. */
static void know_all(struct encoder *e, const uint8_t *name, uint32_t at)
{
	uint32_t n = (uint32_t)dns_name_measure(name, DNS_NAME_MAX);

	at += DNS_HEADER_BYTES + e->n_anchor + 4;
	for (; *name != 0; n -= (uint32_t)*name + 1, at += (uint32_t)*name + 1, name += *name + 1)
		know(e, name, n, at, N_KNOWN);
}

static void put_data(struct encoder *e, uint16_t type, const struct dns_build_record *record)
{
	const struct dns_data_form *form = dns_data_form(type);
	const uint8_t *data = record->data;
	uint32_t at = e->n;

	put16(e, record->n_data);
	if (form == NULL || !form->is_compressed) {
		if (form != NULL && form->n_names == 1)
			know_all(e, data + form->n_before, e->n + form->n_before);
		put(e, data, record->n_data);
		return;
	}
	put(e, data, form->n_before);
	data += form->n_before;
	for (uint32_t i = 0; i < form->n_names; i++) {
		put_name(e, data);
		data += dns_name_measure(data, DNS_NAME_MAX);
	}
	put(e, data, form->n_after);
	if (!e->is_full)
		dns_put16(e->body + at, e->n - at - 2);
}

/* `owner` is NULL for the name in question. */
static void put_rrset(struct encoder *e, const uint8_t *owner, const struct dns_build_rrset *rrset,
		      uint32_t ttl)
{
	for (const struct dns_build_record *r = rrset->first; r != NULL; r = r->next) {
		if (owner == NULL)
			put_pointer(e, 0);
		else
			put_name(e, owner);
		put16(e, rrset->type);
		put16(e, DNS_CLASS_IN);
		put16(e, ttl >> 16);
		put16(e, ttl & 0xffff);
		put_data(e, rrset->type, r);
	}
}

/* Additional data ------------------------------------------------------------------------------ */

static struct dns_build_node *get_target(struct encoder *e, uint16_t type, const uint8_t *data)
{
	const struct dns_data_form *form = dns_data_form(type);
	const struct dns_name *apex = &e->build->apex;
	struct dns_name name;

	dns_name_take(&name, data + form->n_before, DNS_NAME_MAX, &e->build->key);
	if (name.n_labels < apex->n_labels ||
	    !dns_name_equals(&name, (uint32_t)name.n_labels - apex->n_labels, apex->bytes,
			     apex->n_bytes))
		return NULL;
	return dns_build_find(e->build, &name, 0);
}

/* The addresses of one host, once per answer: all or none. False when there was no room. */
static bool put_addresses(struct encoder *e, struct dns_build_node *node)
{
	static const uint16_t types[] = { DNS_A, DNS_AAAA };
	uint32_t n = e->n;
	uint32_t n_relocs = e->n_relocs;
	uint16_t n_additional = e->n_additional;

	if (node->mark == e->build->n_marks)
		return true;
	node->mark = e->build->n_marks;
	for (size_t i = 0; i < 2; i++) {
		const struct dns_build_rrset *rrset = dns_build_get(node, types[i]);

		if (rrset == NULL)
			continue;
		put_rrset(e, node->name, rrset, rrset->ttl);
		e->n_additional = (uint16_t)(e->n_additional + rrset->n_records);
	}
	if (e->is_full) {
		e->n = n;
		e->n_relocs = n_relocs;
		e->n_additional = n_additional;
		return false;
	}
	return true;
}

/*
 * Addresses of the hosts that the records name. Behind a zone cut they are glue: not ours to give
 * but with NS records.
 */
static void put_additional(struct encoder *e, const struct dns_build_rrset *rrset,
			   const struct dns_build_node *only_below)
{
	bool is_ns = rrset->type == DNS_NS;

	for (const struct dns_build_record *r = rrset->first; r != NULL; r = r->next) {
		struct dns_build_node *node = get_target(e, rrset->type, r->data);

		if (node == NULL || (node->cut != NULL && node->cut != node && !is_ns) ||
		    (node->flags & DNS_NODE_CUT && !is_ns))
			continue;
		if (only_below != NULL && node->cut != only_below)
			continue;
		if (only_below == NULL && e->n > MAX_OPTIONAL)
			break;
		if (!put_addresses(e, node))
			break;
	}
}

static void end_of_must(struct encoder *e)
{
	e->n_bytes_must = (uint16_t)e->n;
	e->n_additional_must = e->n_additional;
}

/* The zone's memory ---------------------------------------------------------------------------- */

/* Fewer misses of the TLB in big zones; without it all works. */
static void ask_for_huge_pages(void *memory, size_t n)
{
	if (n >= HUGE_FROM_BYTES)
		madvise(memory, n, MADV_HUGEPAGE);
}

static size_t up(size_t n)
{
	return (n + DNS_REF_BYTES - 1) & ~(size_t)(DNS_REF_BYTES - 1);
}

/* Room for n bytes; its ref, or 0. Moves what was there before. */
static uint32_t reserve(struct encoder *e, size_t n)
{
	size_t at = e->n_used;

	n = up(n);
	if (n > e->n_base - at) {
		void *moved = mremap(e->base, e->n_base, 2 * e->n_base, MREMAP_MAYMOVE);

		if (moved == MAP_FAILED)
			return 0;
		e->base = moved;
		e->n_base *= 2;
		ask_for_huge_pages(e->base, e->n_base);
	}
	e->n_used += n;
	return (uint32_t)(at / DNS_REF_BYTES);
}

static void *at_ref(struct encoder *e, uint32_t ref)
{
	return e->base + (size_t)ref * DNS_REF_BYTES;
}

static uint32_t store(struct encoder *e)
{
	size_t n_body = (e->n + 1u) & ~(size_t)1;
	uint32_t ref = reserve(e, sizeof(struct dns_blob) + n_body + 2u * e->n_relocs);
	struct dns_blob *blob;

	if (ref == 0)
		return 0;
	blob = at_ref(e, ref);
	blob->n_bytes_must = e->n_bytes_must;
	blob->n_answer = e->n_answer;
	blob->n_authority = e->n_authority;
	blob->n_additional = e->n_additional;
	blob->n_additional_must = e->n_additional_must;
	blob->n_bytes = (uint16_t)e->n;
	blob->n_relocs = (uint16_t)e->n_relocs;
	blob->n_anchor = (uint16_t)e->n_anchor;
	memcpy(blob->body, e->body, e->n);
	memcpy(blob->body + n_body, e->relocs, 2u * e->n_relocs);
	return ref;
}

static bool has_targets(uint16_t type)
{
	return type == DNS_NS || type == DNS_MX || type == DNS_SRV;
}

static uint32_t store_answer(struct encoder *e, const struct dns_build_node *node,
			     const struct dns_build_rrset *rrset)
{
	const struct dns_build_node *anchor = node->flags & DNS_NODE_WILDCARD ? node->parent : node;

	begin(e, anchor->name, anchor->n_name);
	put_rrset(e, anchor == node ? node->name : NULL, rrset, rrset->ttl);
	e->n_answer = rrset->n_records;
	e->build->n_marks++;
	end_of_must(e);
	if (has_targets(rrset->type))
		put_additional(e, rrset, NULL);
	return store(e);
}

static uint32_t store_referral(struct encoder *e, const struct dns_build_node *node)
{
	const struct dns_build_rrset *ns = dns_build_get(node, DNS_NS);

	begin(e, node->name, node->n_name);
	put_rrset(e, node->name, ns, ns->ttl);
	e->n_authority = ns->n_records;
	e->build->n_marks++;
	put_additional(e, ns, node); /* glue without which the answer leads nowhere, RFC 9471 */
	end_of_must(e);
	put_additional(e, ns, NULL);
	return store(e);
}

static uint32_t store_negative(struct encoder *e, const struct dns_build_node *apex,
			       uint32_t *ret_serial)
{
	const struct dns_build_rrset *soa = dns_build_get(apex, DNS_SOA);
	const uint8_t *numbers = soa->first->data + soa->first->n_data - 20;
	uint32_t ttl = dns_get32(numbers + 16);

	if (soa->ttl < ttl)
		ttl = soa->ttl; /* RFC 2308, 3 */
	*ret_serial = dns_get32(numbers);
	begin(e, apex->name, apex->n_name);
	put_rrset(e, apex->name, soa, ttl);
	e->n_authority = 1;
	end_of_must(e);
	return store(e);
}

static int store_node(struct encoder *e, struct dns_build_node *node)
{
	uint32_t n_rrsets = 0;
	size_t n_head;
	struct dns_node *made;
	uint32_t i = 0;

	for (const struct dns_build_rrset *r = node->rrsets; r != NULL; r = r->next)
		n_rrsets++;
	n_head = sizeof *made + n_rrsets * sizeof made->rrsets[0];
	node->ref = reserve(e, n_head + node->n_name);
	if (node->ref == 0)
		return -ENOMEM;
	made = at_ref(e, node->ref);
	made->n_rrsets = (uint16_t)n_rrsets;
	made->n_name = node->n_name;
	made->flags = node->flags;
	memcpy((uint8_t *)made + n_head, node->name, node->n_name);
	for (const struct dns_build_rrset *r = node->rrsets; r != NULL; r = r->next, i++) {
		uint32_t blob = store_answer(e, node, r);

		if (blob == 0)
			return -ENOMEM;
		made = at_ref(e, node->ref);
		made->rrsets[i] = (struct dns_rrset){ r->type, 0, blob };
	}
	if (node->flags & DNS_NODE_CUT) {
		uint32_t blob = store_referral(e, node);

		if (blob == 0)
			return -ENOMEM;
		made = at_ref(e, node->ref);
		made->referral = blob;
	}
	return 0;
}

/* The zone ------------------------------------------------------------------------------------- */

static void *map(size_t n)
{
	void *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void link_nodes(struct encoder *e, struct dns_zone *zone)
{
	for (size_t i = 0; i < e->build->n_nodes; i++) {
		const struct dns_build_node *node = e->build->nodes[i];
		struct dns_node *made = at_ref(e, node->ref);

		made->cut = node->cut == NULL ? 0 : node->cut->ref;
		made->wildcard = node->wildcard == NULL ? 0 : node->wildcard->ref;
		dns_zone_insert(zone, node->hash, node->ref);
	}
}

/* At most half full: an absent name costs 2.5 slots in the mean, which share a cache line. */
static int make_slots(struct dns_zone *zone, size_t n_names)
{
	size_t n_slots = 16;

	while (n_slots < 2 * n_names)
		n_slots *= 2;
	zone->n_slots_mask = n_slots - 1;
	zone->slots = map(n_slots * sizeof *zone->slots);
	if (zone->slots == NULL)
		return -ENOMEM;
	ask_for_huge_pages(zone->slots, n_slots * sizeof *zone->slots);
	return 0;
}

static void give_back(struct encoder *e)
{
	size_t n_bytes = (e->n_used + 4095) & ~(size_t)4095;
	void *moved = mremap(e->base, e->n_base, n_bytes, 0);

	if (moved != MAP_FAILED)
		e->n_base = n_bytes;
}

static int fill(struct encoder *e, struct dns_zone *zone)
{
	const struct dns_build *build = e->build;
	struct dns_build_node *apex = dns_build_find(build, &build->apex, 0);
	uint32_t negative = store_negative(e, apex, &zone->serial);
	int r = negative == 0 ? -ENOMEM : make_slots(zone, build->n_nodes);

	for (size_t i = 0; r >= 0 && i < build->n_nodes; i++)
		r = store_node(e, build->nodes[i]);
	if (r < 0)
		return r;
	give_back(e);
	link_nodes(e, zone);
	zone->negative = at_ref(e, negative);
	return 0;
}

int dns_encode_zone(struct dns_build *build, struct dns_zone **ret_zone)
{
	struct dns_zone *zone = calloc(1, sizeof *zone);
	struct encoder *e = calloc(1, sizeof *e);
	int r = -ENOMEM;

	if (zone == NULL || e == NULL)
		goto fail;
	atomic_init(&zone->n_users, 1);
	e->build = build;
	e->body = malloc(MAX_BODY);
	e->n_base = FIRST_BYTES;
	e->base = map(e->n_base);
	if (e->body == NULL || e->base == NULL)
		goto fail;
	e->n_used = DNS_REF_BYTES; /* ref 0 is none */
	zone->apex_labels = build->apex.n_labels;
	zone->apex_hash = build->apex.hashes[0];
	zone->n_apex = build->apex.n_bytes;
	memcpy(zone->apex, build->apex.bytes, zone->n_apex);
	zone->max_labels = build->max_labels;
	zone->n_records = build->n_records;
	zone->n_names = build->n_nodes;
	r = fill(e, zone);
fail:
	if (zone != NULL && e != NULL) {
		zone->base = e->base;
		zone->n_base = e->n_base;
	}
	if (e != NULL)
		free(e->body);
	free(e);
	if (r < 0) {
		if (zone != NULL && zone->base == NULL)
			free(zone);
		else
			dns_zone_unref(zone);
		return r;
	}
	*ret_zone = zone;
	return 0;
}
