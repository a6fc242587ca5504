/* SPDX-License-Identifier: MIT */

/*
 * Reading is libresolv's: ns_initparse() refuses what is not whole, and ns_parserr() what has a bad
 * name. What is written has the host's name where the first name stands, and refers to it there.
 */

#include "message.h"

#include <string.h>

#include "addrs.h"

enum { CLASS_MASK = 0x7fff, TOP_BIT = 0x8000, RECORD_BYTES = 10 };

/* Reading -------------------------------------------------------------------------------------- */

static bool is_host(const ns_rr *record, const struct host *host)
{
	return strcasecmp(ns_rr_name(*record), host->name) == 0;
}

static unsigned int get_wanted(unsigned int type)
{
	switch (type) {
	case ns_t_a:
		return WANTS_A;
	case ns_t_aaaa:
		return WANTS_AAAA;
	case ns_t_any:
		return WANTS_A | WANTS_AAAA;
	default:
		return WANTS_OTHER;
	}
}

bool message_read_question(ns_msg *query, const struct host *host, struct question *ret_question)
{
	struct question question = { .wants_unicast = true,
				     .is_probe = ns_msg_count(*query, ns_s_ns) > 0 };
	ns_rr record;

	for (int i = 0; i < ns_msg_count(*query, ns_s_qd); i++) {
		unsigned int class;

		if (ns_parserr(query, ns_s_qd, i, &record) < 0)
			return false;
		class = ns_rr_class(record);
		if (!is_host(&record, host) ||
		    ((class & CLASS_MASK) != ns_c_in && (class & CLASS_MASK) != ns_c_any))
			continue;
		if (question.wants == 0) {
			question.type = (uint16_t)ns_rr_type(record);
			question.class = (uint16_t) class;
		}
		question.wants |= get_wanted(ns_rr_type(record));
		question.wants_unicast = question.wants_unicast && (class & TOP_BIT) != 0;
	}
	*ret_question = question;
	return question.wants != 0;
}

static bool has_address(const ns_rr *record, const struct sockaddr *addr)
{
	const uint8_t *bytes;
	size_t len = addrs_get_bytes(addr, &bytes);

	return len > 0 && ns_rr_type(*record) == (len == 4 ? ns_t_a : ns_t_aaaa) &&
	       ns_rr_rdlen(*record) == len && memcmp(ns_rr_rdata(*record), bytes, len) == 0;
}

bool message_has_conflict(ns_msg *response, const struct host *host)
{
	static const ns_sect sections[] = { ns_s_an, ns_s_ar };
	ns_rr record;

	for (int s = 0; s < 2; s++) {
		for (int i = 0; i < ns_msg_count(*response, sections[s]); i++) {
			if (ns_parserr(response, sections[s], i, &record) < 0)
				return false;
			if (is_host(&record, host) && ns_rr_ttl(record) > 0 &&
			    (ns_rr_type(record) == ns_t_a || ns_rr_type(record) == ns_t_aaaa) &&
			    !addrs_is_own(ns_rr_rdata(record), ns_rr_rdlen(record)))
				return true;
		}
	}
	return false;
}

/* Whoever asks has it for half of its time at least: RFC 6762, section 7.1. */
static bool is_known(ns_msg *query, const struct host *host, const struct sockaddr *addr)
{
	ns_rr record;

	for (int i = 0; query != NULL && i < ns_msg_count(*query, ns_s_an); i++)
		if (ns_parserr(query, ns_s_an, i, &record) == 0 && is_host(&record, host) &&
		    ns_rr_ttl(record) >= TTL / 2 && has_address(&record, addr))
			return true;
	return false;
}

/* Writing -------------------------------------------------------------------------------------- */

static void put(struct message *message, const void *data, size_t len)
{
	memcpy(message->data + message->len, data, len);
	message->len += len;
}

static void put16(struct message *message, unsigned int value)
{
	ns_put16(value, message->data + message->len);
	message->len += NS_INT16SZ;
}

/* The header's count, and the name; false where there is no room for it and n bytes. */
static bool put_name(struct message *message, ns_sect section, size_t n)
{
	const struct host *host = message->host;

	if (message->len < NS_HFIXEDSZ)
		message->len = NS_HFIXEDSZ;
	if (message->len + host->wire_len + n > sizeof message->data)
		return false;
	message->data[NS_INT16SZ * (2 + (size_t)section) + 1]++; /* fewer than 256 fit */
	if (message->len == NS_HFIXEDSZ)
		put(message, host->wire, host->wire_len);
	else
		put16(message, NS_CMPRSFLGS << 8 | NS_HFIXEDSZ);
	return true;
}

static void put_record(struct message *message, ns_sect section, unsigned int type,
		       const void *data, size_t len)
{
	bool flushes = !message->is_legacy && section != ns_s_ns;

	if (!put_name(message, section, RECORD_BYTES + len))
		return;
	put16(message, type);
	put16(message, flushes ? TOP_BIT | ns_c_in : ns_c_in);
	put16(message, message->ttl >> 16);
	put16(message, message->ttl & 0xffff);
	put16(message, (unsigned int)len);
	put(message, data, len);
}

/* Returns what there is. */
static unsigned int put_addresses(struct message *message, ns_sect section, unsigned int wants,
				  ns_msg *query)
{
	const struct ifaddrs *at = message->addrs;
	unsigned int there = 0;

	for (; at != NULL; at = at->ifa_next) {
		const uint8_t *bytes;
		size_t len = addrs_get_bytes(at->ifa_addr, &bytes);
		unsigned int type = len == 4 ? ns_t_a : ns_t_aaaa;

		if (len == 0 || strcmp(at->ifa_name, message->link) != 0)
			continue;
		there |= get_wanted(type);
		if ((wants & get_wanted(type)) != 0 &&
		    !is_known(query, message->host, at->ifa_addr))
			put_record(message, section, type, bytes, len);
	}
	return there;
}

/* Only these types of address: RFC 6762, section 6.1. */
static void put_nsec(struct message *message, ns_sect section, unsigned int there)
{
	const struct host *host = message->host;
	uint8_t data[NS_MAXCDNAME + 6];
	/* Window 0, how many bytes follow, and a bit for type 1 and one for type 28. */
	uint8_t types[6] = { 0, there & WANTS_AAAA ? 4 : 1,   there & WANTS_A ? 0x40 : 0, 0,
			     0, there & WANTS_AAAA ? 0x08 : 0 };

	memcpy(data, host->wire, host->wire_len);
	memcpy(data + host->wire_len, types, sizeof types);
	put_record(message, section, ns_t_nsec, data, host->wire_len + 2 + types[1]);
}

void message_put_question(struct message *message, uint16_t type, uint16_t class)
{
	if (!put_name(message, ns_s_qd, 2 * NS_INT16SZ))
		return;
	put16(message, type);
	put16(message, class);
}

void message_put_claim(struct message *message)
{
	message_put_question(message, ns_t_any, TOP_BIT | ns_c_in);
	put_addresses(message, ns_s_ns, WANTS_A | WANTS_AAAA, NULL);
}

bool message_put_host(struct message *message, unsigned int wants, ns_msg *query)
{
	unsigned int there = put_addresses(message, ns_s_an, wants, query);
	bool lacks = (wants & ~there) != 0;

	message->data[2] = 0x84; /* a response, authoritative */
	if (there == 0)
		return false;
	if (lacks)
		put_nsec(message, ns_s_an, there);
	if (message->data[NS_INT16SZ * 3 + 1] == 0)
		return false; /* all of it is known */
	put_addresses(message, ns_s_ar, ~wants, NULL);
	if (!lacks && there != (WANTS_A | WANTS_AAAA))
		put_nsec(message, ns_s_ar, there);
	return true;
}
