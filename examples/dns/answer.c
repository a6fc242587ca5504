/* SPDX-License-Identifier: MIT */

/*
 * Answers. The common one is a look-up and a copy: header and question stay, the encoded answer of
 * the zone follows, then OPT. The algorithm is that of RFC 1034, 4.3.2, with DNAME (RFC 6672):
 *
 *     zone -> name found?   -> below a cut: referral; below a DNAME: redirect
 *                           -> records of the type, CNAME (redirect), or NODATA
 *          -> not found     -> wildcard of the closest encloser as if found, or NXDOMAIN
 *
 * A redirect starts again with the new name, in whatever zone of ours that is, N_LINKS times at
 * most, which also ends loops.
 *
 * Where names stand. The name in question begins at offset 12; a name that a redirect led to is
 * spread over the records that named it. `place` maps a position within the name to its offset in
 * the message, and all compression pointers of a copied answer go through it.
 *
 * What does not fit is never cut in the middle: additional data that may be missing is left out,
 * else the answer is empty and says so (TC).
 */

#include "answer.h"

#include <string.h>

#include "wire.h"

enum {
	N_LINKS = 8, /* redirects; zone_encode.c relies on it */
	OPT_BYTES = 11,
	RECORD_BYTES = 10, /* type, class, TTL, length */
	MAX_TSIG = 600,    /* owner, algorithm and a MAC that we do not look at */
	CHAOS_TTL = 0,
};

struct message {
	uint8_t *bytes;
	size_t n;
	size_t limit; /* less what OPT and TSIG will need */
	size_t question_end;
	uint16_t n_answer;
	uint16_t n_authority;
	uint16_t n_additional;
	uint16_t rcode;
	uint16_t n_anchor; /* of the first answer copied; 0 for none */
	bool is_authoritative;
	bool is_truncated;
};

/* A name that is looked up, and where it stands in the message. */
struct place {
	const struct dns_name *name;
	bool is_question;
	uint16_t offsets[DNS_NAME_MAX];
};

static uint32_t get_offset(const struct place *place, uint32_t at)
{
	return place->is_question ? DNS_HEADER_BYTES + at : place->offsets[at];
}

/* Copying -------------------------------------------------------------------------------------- */

static void move_pointers(uint8_t *body, size_t start, size_t n, const struct dns_blob *blob,
			  const struct place *place)
{
	const uint8_t *relocs = dns_blob_relocs(blob);
	uint32_t base = DNS_HEADER_BYTES + blob->n_anchor + 4u;
	uint32_t skip = (uint32_t)place->name->n_bytes - blob->n_anchor;

	for (uint32_t i = 0; i < blob->n_relocs; i++) {
		uint16_t at;
		uint32_t pointer;

		memcpy(&at, relocs + 2 * i, sizeof at);
		if (at >= n)
			break;
		pointer = dns_get16(body + at) & 0x3fffu;
		if (pointer == 0)
			pointer = get_offset(place, 0);
		else if (pointer < base)
			pointer = get_offset(place, skip + pointer - DNS_HEADER_BYTES);
		else
			pointer = pointer - base + (uint32_t)start;
		dns_put16(body + at, 0xc000 | pointer);
	}
}

static void truncate(struct message *m)
{
	m->n = m->question_end;
	m->n_answer = 0;
	m->n_authority = 0;
	m->n_additional = 0;
	m->is_truncated = true;
}

/* Copy an encoded answer behind what there is. False when it does not fit. */
static bool append(struct message *m, const struct dns_blob *blob, const struct place *place)
{
	size_t start = m->n;
	size_t n = blob->n_bytes;
	uint16_t n_additional = blob->n_additional;

	if (place->is_question)
		m->n_anchor = blob->n_anchor;
	if (n > m->limit - start) {
		n = blob->n_bytes_must;
		n_additional = blob->n_additional_must;
	}
	if (n > m->limit - start) {
		truncate(m);
		return false;
	}
	memcpy(m->bytes + start, blob->body, n);
	m->n = start + n;
	m->n_answer = (uint16_t)(m->n_answer + blob->n_answer);
	m->n_authority = (uint16_t)(m->n_authority + blob->n_authority);
	m->n_additional = (uint16_t)(m->n_additional + n_additional);
	if (!place->is_question || place->name->n_bytes != blob->n_anchor)
		move_pointers(m->bytes + start, start, n, blob, place);
	return true;
}

/* Redirects ------------------------------------------------------------------------------------ */

/*
 * The target in the data of a CNAME or DNAME blob at `data`: labels, then the root or a pointer
 * into the anchor. Its bytes go to `ret_target`; *ret_literal of them stand at `data` itself.
 */
static size_t read_target(const uint8_t *data, const uint8_t *anchor, uint8_t *ret_target,
			  size_t *ret_literal)
{
	size_t n = 0;
	size_t n_rest;

	while (data[n] != 0 && data[n] < 0xc0)
		n += (size_t)data[n] + 1;
	memcpy(ret_target, data, n);
	*ret_literal = n;
	if (data[n] == 0) {
		ret_target[n] = 0;
		*ret_literal = n + 1;
		return n + 1;
	}
	anchor += (dns_get16(data + n) & 0x3fffu) - DNS_HEADER_BYTES;
	n_rest = dns_name_measure(anchor, DNS_NAME_MAX);
	if (n + n_rest > DNS_NAME_MAX)
		return 0;
	memcpy(ret_target + n, anchor, n_rest);
	return n + n_rest;
}

/* Where the record's data begins in a blob of one record: behind its owner and RECORD_BYTES. */
static size_t find_data(const struct dns_blob *blob)
{
	return (blob->body[0] == 0 ? 1u : 2u) + RECORD_BYTES;
}

/* A CNAME's answer, and the name it leads to. False when there is nothing more to look up. */
static bool follow_cname(struct message *m, const struct dns_node *node,
			 const struct dns_blob *blob, struct place *place, uint8_t *ret_target)
{
	const uint8_t *anchor = dns_node_name(node) + (node->flags & DNS_NODE_WILDCARD ? 2 : 0);
	uint32_t skip = (uint32_t)place->name->n_bytes - blob->n_anchor;
	size_t data = find_data(blob);
	size_t start = m->n + data;
	uint16_t offsets[DNS_NAME_MAX];
	size_t n_literal;
	size_t n;

	if (!append(m, blob, place))
		return false;
	n = read_target(blob->body + data, anchor, ret_target, &n_literal);
	for (size_t i = 0; i < n; i++) {
		size_t behind = i - n_literal; /* in the part that the pointer leads to */

		if (i < n_literal)
			offsets[i] = (uint16_t)(start + i);
		else
			offsets[i] = (uint16_t)get_offset(
				place,
				(uint32_t)(skip + blob->n_anchor - (n - n_literal) + behind));
	}
	memcpy(place->offsets, offsets, n * sizeof offsets[0]);
	return true;
}

/* The name with what ends in the DNAME's owner replaced by its target. 0: too long. */
static size_t redirect(const struct dns_name *name, size_t n_prefix, const uint8_t *target,
		       size_t n_target, uint8_t *ret_target)
{
	if (n_prefix + n_target > DNS_NAME_MAX)
		return 0;
	memcpy(ret_target, name->bytes, n_prefix);
	memcpy(ret_target + n_prefix, target, n_target);
	return n_prefix + n_target;
}

/* A DNAME's answer with the CNAME that follows from it (RFC 6672, 3.1). */
static bool follow_dname(struct message *m, const struct dns_blob *blob, struct place *place,
			 uint8_t *ret_target)
{
	size_t n_prefix = (size_t)place->name->n_bytes - blob->n_anchor;
	size_t data = find_data(blob);
	size_t target = m->n + data;
	size_t n_target = blob->n_bytes_must - data;
	size_t n;
	uint8_t *at;

	if (!append(m, blob, place))
		return false;
	n = redirect(place->name, n_prefix, blob->body + data, n_target, ret_target);
	if (n == 0) {
		m->rcode = DNS_YXDOMAIN;
		return false;
	}
	if (2 + RECORD_BYTES + n_prefix + 2 > m->limit - m->n) {
		truncate(m);
		return false;
	}
	at = m->bytes + m->n;
	dns_put16(at, 0xc000 | get_offset(place, 0));
	dns_put16(at + 2, DNS_CNAME);
	memcpy(at + 4, blob->body + data - 8, 6); /* class and TTL of the DNAME */
	dns_put16(at + 10, (uint32_t)(n_prefix + (n_target == 1 ? 1 : 2)));
	memcpy(at + 12, ret_target, n_prefix);
	m->n += 12 + n_prefix;
	if (n_target == 1) {
		m->bytes[m->n++] = 0;
	} else {
		dns_put16(m->bytes + m->n, 0xc000 | (uint32_t)target);
		m->n += 2;
	}
	m->n_answer++;
	for (size_t i = 0; i < n; i++)
		place->offsets[i] = (uint16_t)(i < n_prefix ? (size_t)(at - m->bytes) + 12 + i
							    : target + i - n_prefix);
	return true;
}

/* Looking up ----------------------------------------------------------------------------------- */

enum step { STEP_DONE, STEP_REDIRECT };

struct lookup {
	struct message *m;
	const struct dns_zone *zone;
	struct place *place;
	uint16_t type;
	bool is_first;
	uint32_t n_followed; /* CNAMEs of this answer, to see a loop */
	const struct dns_blob *followed[N_LINKS];
	uint8_t *target; /* out: DNS_NAME_MAX bytes, the name that a redirect leads to */
};

static enum step answer_negative(struct lookup *l, uint16_t rcode)
{
	if (append(l->m, l->zone->negative, l->place))
		l->m->rcode = rcode;
	return STEP_DONE;
}

/* Whether this CNAME was not followed before. One of a wildcard can lead elsewhere each time. */
static bool is_new(struct lookup *l, const struct dns_node *node, const struct dns_blob *cname)
{
	if (node->flags & DNS_NODE_WILDCARD)
		return true;
	for (uint32_t i = 0; i < l->n_followed; i++)
		if (l->followed[i] == cname)
			return false;
	l->followed[l->n_followed++] = cname;
	return true;
}

static enum step answer_node(struct lookup *l, const struct dns_node *node)
{
	const struct dns_blob *blob;

	/* RFC 8482: one of what there is is enough of an answer to "all". */
	if (l->type == DNS_ANY && node->n_rrsets > 0)
		blob = dns_zone_at(l->zone, node->rrsets[0].blob);
	else
		blob = dns_zone_get(l->zone, node, l->type);
	if (blob != NULL) {
		append(l->m, blob, l->place);
		return STEP_DONE;
	}
	blob = dns_zone_get(l->zone, node, DNS_CNAME);
	if (blob == NULL)
		return answer_negative(l, DNS_NOERROR);
	if (!is_new(l, node, blob))
		return STEP_DONE;
	return follow_cname(l->m, node, blob, l->place, l->target) ? STEP_REDIRECT : STEP_DONE;
}

/* At or below a zone cut or a DNAME. */
static enum step answer_cut(struct lookup *l, const struct dns_node *cut)
{
	const struct dns_blob *blob;

	if (cut->flags & DNS_NODE_CUT) {
		if (l->is_first)
			l->m->is_authoritative = false;
		append(l->m, dns_zone_at(l->zone, cut->referral), l->place);
		return STEP_DONE;
	}
	blob = dns_zone_get(l->zone, cut, DNS_DNAME);
	if (!follow_dname(l->m, blob, l->place, l->target))
		return STEP_DONE;
	/* The CNAME that was made up may be what was asked for. */
	return l->type == DNS_CNAME || l->type == DNS_ANY ? STEP_DONE : STEP_REDIRECT;
}

static enum step look_up(struct lookup *l)
{
	const struct dns_node *cut = NULL;
	struct dns_found found;

	dns_zone_find(l->zone, l->place->name, &found);
	if (found.node->cut != 0)
		cut = dns_zone_at(l->zone, found.node->cut);
	/* A DNAME's own name is ours; so is the DS of a cut, which lies above it (RFC 4035). */
	if (cut != NULL && (!found.is_exact || cut != found.node ||
			    (cut->flags & DNS_NODE_CUT && l->type != DNS_DS)))
		return answer_cut(l, cut);
	if (found.is_exact)
		return answer_node(l, found.node);
	if (found.node->wildcard != 0)
		return answer_node(l, dns_zone_at(l->zone, found.node->wildcard));
	return answer_negative(l, DNS_NXDOMAIN);
}

/* After a redirect: the zone of the new name, whose parent has the DS of its apex. */
static const struct dns_zone *find_zone(const struct dns_catalog *catalog,
					const struct dns_name *name, uint16_t type)
{
	const struct dns_zone *zone = dns_catalog_find(catalog, name, 0);

	if (type == DNS_DS && zone != NULL && zone->apex_labels == name->n_labels &&
	    name->n_labels > 0) {
		const struct dns_zone *parent = dns_catalog_find(catalog, name, 1);

		if (parent != NULL)
			return parent;
	}
	return zone;
}

static void answer_question(struct dns_responder *responder, struct message *m,
			    const struct dns_request *request)
{
	uint8_t target[DNS_NAME_MAX];
	struct dns_name next;
	struct place place;
	struct lookup lookup = { .m = m,
				 .zone = request->zone,
				 .place = &place,
				 .type = request->query->type,
				 .is_first = true,
				 .target = target };

	place.name = &request->query->name;
	place.is_question = true;
	m->is_authoritative = true;
	for (uint32_t i = 0; look_up(&lookup) == STEP_REDIRECT && i < N_LINKS - 1; i++) {
		if (dns_name_take(&next, target, DNS_NAME_MAX, &responder->key) == 0)
			break;
		place.name = &next;
		place.is_question = false;
		lookup.is_first = false;
		lookup.zone = find_zone(responder->catalog, &next, lookup.type);
		if (lookup.zone == NULL || lookup.zone->is_broken)
			break;
	}
	if (request->query->class == DNS_CLASS_ANY)
		m->is_authoritative = false; /* RFC 1034, 4.3.2: other classes may have more */
}

/* CHAOS ---------------------------------------------------------------------------------------- */

static bool put_text(struct message *m, const char *text)
{
	size_t n = strlen(text);
	uint8_t *at = m->bytes + m->n;

	if (2 + RECORD_BYTES + 1 + n > m->limit - m->n)
		return false;
	dns_put16(at, 0xc000 | DNS_HEADER_BYTES);
	dns_put16(at + 2, DNS_TXT);
	dns_put16(at + 4, DNS_CLASS_CH);
	dns_put32(at + 6, CHAOS_TTL);
	dns_put16(at + 10, (uint32_t)n + 1);
	at[12] = (uint8_t)n;
	mempcpy(at + 13, text, n);
	m->n += 13 + n;
	m->n_answer = 1;
	return true;
}

static void answer_chaos(const struct dns_responder *responder, struct message *m,
			 const struct dns_query *query)
{
	static const char *const names[] = { "\7version\4bind", "\7version\6server", "\2id\6server",
					     "\10hostname\4bind" };

	m->rcode = DNS_REFUSED;
	if (query->type != DNS_TXT && query->type != DNS_ANY)
		return;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *text = i < 2 ? responder->version : responder->id;

		if (text == NULL || !dns_name_equals(&query->name, 0, (const uint8_t *)names[i],
						     strlen(names[i]) + 1))
			continue;
		m->rcode = DNS_NOERROR;
		m->is_authoritative = true;
		if (!put_text(m, text))
			truncate(m);
	}
}

/* EDNS and TSIG -------------------------------------------------------------------------------- */

static size_t measure_opt(const struct dns_responder *responder, const struct dns_query *query)
{
	size_t n = OPT_BYTES;

	if (query->edns_bytes == 0)
		return 0;
	if (query->n_cookie > 0)
		n += 4 + DNS_COOKIE_CLIENT_BYTES + DNS_COOKIE_SERVER_BYTES;
	if (query->wants_nsid && responder->id != NULL)
		n += 4 + strlen(responder->id);
	return n;
}

static uint8_t *put_option(uint8_t *at, uint32_t code, const void *data, size_t n)
{
	dns_put16(at, code);
	dns_put16(at + 2, (uint32_t)n);
	memcpy(at + 4, data, n);
	return at + 4 + n;
}

static void put_opt(struct dns_responder *responder, struct message *m,
		    const struct dns_request *request, struct dns_answer *answer)
{
	const struct dns_query *query = request->query;
	uint8_t *opt = m->bytes + m->n;
	uint8_t *at = opt + OPT_BYTES;

	opt[0] = 0;
	dns_put16(opt + 1, DNS_OPT);
	dns_put16(opt + 3, DNS_UDP_BYTES);
	dns_put32(opt + 5, (uint32_t)(m->rcode >> 4) << 24 | (query->do_bit ? 0x8000 : 0));
	if (query->n_cookie > 0) {
		uint8_t cookie[DNS_COOKIE_CLIENT_BYTES + DNS_COOKIE_SERVER_BYTES];

		memcpy(cookie, query->cookie, DNS_COOKIE_CLIENT_BYTES);
		answer->has_good_cookie = dns_cookies_answer(&responder->cookies, query,
							     request->peer, responder->now,
							     cookie + DNS_COOKIE_CLIENT_BYTES);
		at = put_option(at, DNS_OPTION_COOKIE, cookie, sizeof cookie);
	}
	if (query->wants_nsid && responder->id != NULL)
		at = put_option(at, DNS_OPTION_NSID, responder->id, strlen(responder->id));
	dns_put16(opt + 9, (uint32_t)(at - opt - OPT_BYTES));
	m->n += (size_t)(at - opt);
	m->n_additional++;
}

/* RFC 8945, 5.2.1: we know no keys, and the answer that says so is not signed. 0: malformed. */
static size_t make_tsig(const struct dns_query *query, const uint8_t *packet, uint8_t *ret_tsig)
{
	const uint8_t *tsig = packet + query->tsig_at;
	size_t n = (size_t)query->tsig_end - query->tsig_at;
	size_t n_owner = dns_name_measure(tsig, n);
	size_t n_name;
	size_t n_mac;
	uint8_t *data;

	if (n_owner == 0 || n > MAX_TSIG || n - n_owner < RECORD_BYTES)
		return 0;
	n_name = dns_name_measure(tsig + n_owner + RECORD_BYTES, n - n_owner - RECORD_BYTES);
	data = ret_tsig + n_owner + RECORD_BYTES + n_name;
	if (n_name == 0 || n - n_owner - RECORD_BYTES - n_name < 16)
		return 0;
	memcpy(ret_tsig, tsig, n_owner + RECORD_BYTES + n_name + 10);
	n_mac = dns_get16(data + 8);
	if (n_mac + 16 > n - n_owner - RECORD_BYTES - n_name)
		return 0;
	dns_put16(ret_tsig + n_owner + 8, (uint32_t)n_name + 16);
	dns_put16(data + 8, 0);
	memcpy(data + 10, packet, 2); /* the original ID */
	dns_put16(data + 12, DNS_BADKEY);
	dns_put16(data + 14, 0);
	return n_owner + RECORD_BYTES + n_name + 16;
}

/* The whole ------------------------------------------------------------------------------------ */

static void put_header(const struct message *m, const struct dns_query *query)
{
	uint32_t flags = DNS_QR | (query->flags & (DNS_OPCODE | DNS_RD | DNS_CD));

	flags |= m->is_authoritative ? DNS_AA : 0;
	flags |= m->is_truncated ? DNS_TC : 0;
	dns_put16(m->bytes + 2, flags | (m->rcode & 15u));
	dns_put16(m->bytes + 4, m->question_end > DNS_HEADER_BYTES);
	dns_put16(m->bytes + 6, m->n_answer);
	dns_put16(m->bytes + 8, m->n_authority);
	dns_put16(m->bytes + 10, m->n_additional);
}

static void fill(struct dns_responder *responder, struct message *m,
		 const struct dns_request *request)
{
	const struct dns_query *query = request->query;

	m->rcode = query->rcode;
	if (query->verdict != DNS_VERDICT_LOOK_UP)
		return;
	if (query->class == DNS_CLASS_CH)
		answer_chaos(responder, m, query);
	else if (request->zone == NULL ||
		 (query->class != DNS_CLASS_IN && query->class != DNS_CLASS_ANY))
		m->rcode = DNS_REFUSED;
	else if (request->zone->is_broken)
		m->rcode = DNS_SERVFAIL;
	else
		answer_question(responder, m, request);
}

void dns_answer_set_catalog(struct dns_responder *responder, const struct dns_catalog *catalog)
{
	responder->catalog = catalog;
	responder->key.max_labels = catalog->max_labels;
}

const struct dns_zone *dns_answer_find_zone(const struct dns_responder *responder,
					    const struct dns_query *query)
{
	if (query->verdict != DNS_VERDICT_LOOK_UP)
		return NULL;
	return find_zone(responder->catalog, &query->name, query->type);
}

size_t dns_answer_limit(const struct dns_query *query)
{
	if (query->edns_bytes == 0)
		return 512;
	return query->edns_bytes < DNS_UDP_BYTES ? query->edns_bytes : DNS_UDP_BYTES;
}

size_t dns_answer_slip(const struct dns_query *query, uint8_t *out)
{
	struct message m = { .bytes = out,
			     .question_end = query->question_end,
			     .is_truncated = true };

	put_header(&m, query);
	return m.question_end;
}

/*
 * Answers of one kind share an account (RRL). What they share is the anchor: the name itself, the
 * cut of a referral, the zone of a negative answer, the parent of a wildcard. So who makes names up
 * is limited too.
 */
static uint32_t get_kind(const struct message *m, const struct dns_query *query)
{
	uint32_t kind = 0x9e3779b9u * (m->rcode + 1u);
	uint32_t label = query->name.n_labels;

	if (m->n_anchor == 0)
		return kind;
	if (m->n_anchor == query->name.n_bytes)
		label = 0;
	while (dns_name_suffix_bytes(&query->name, label) < m->n_anchor)
		label--;
	return kind + query->name.hashes[label] + (m->n_answer > 0 ? query->type : 0);
}

size_t dns_answer(struct dns_responder *responder, const struct dns_request *request, uint8_t *out,
		  size_t limit, struct dns_answer *ret_answer)
{
	const struct dns_query *query = request->query;
	struct message m = { .bytes = out,
			     .n = query->question_end,
			     .question_end = query->question_end };
	uint8_t tsig[MAX_TSIG];
	size_t n_opt = measure_opt(responder, query);
	size_t n_tsig = 0;

	if (query->tsig_at != 0)
		n_tsig = make_tsig(query, request->packet, tsig);
	if (n_tsig > limit - m.n - n_opt)
		n_tsig = 0; /* names that nobody has; the code alone will do */
	if (out != request->packet)
		memcpy(out, request->packet, query->question_end);
	ret_answer->has_good_cookie = false;
	m.limit = limit - n_opt - n_tsig;
	fill(responder, &m, request);
	ret_answer->rcode = m.rcode;
	ret_answer->is_truncated = m.is_truncated;
	ret_answer->kind = get_kind(&m, query);
	if (query->edns_bytes != 0)
		put_opt(responder, &m, request, ret_answer);
	if (n_tsig > 0) {
		memcpy(out + m.n, tsig, n_tsig);
		m.n += n_tsig;
		m.n_additional++;
	}
	put_header(&m, query);
	return m.n;
}
