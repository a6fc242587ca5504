/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_WIRE_H
#define EXAMPLES_DNS_WIRE_H

/* The DNS wire format: numbers, read and written. RFC 1035 unless said otherwise. */

#include <stdint.h>

enum { DNS_HEADER_BYTES = 12, DNS_MAX_MESSAGE = 65535 };

/* The second 16-bit word of the header. */
enum {
	DNS_QR = 0x8000,
	DNS_OPCODE = 0x7800,
	DNS_AA = 0x0400,
	DNS_TC = 0x0200,
	DNS_RD = 0x0100,
	DNS_CD = 0x0010,
};

enum { DNS_OPCODE_QUERY = 0, DNS_OPCODE_NOTIFY = 4 };

enum {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_YXDOMAIN = 6,
	DNS_NOTAUTH = 9,
	DNS_BADVERS = 16, /* RFC 6891 */
	DNS_BADKEY = 17,  /* RFC 8945, in the TSIG record only */
};

enum {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_MD = 3,
	DNS_MF = 4,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_MB = 7,
	DNS_MG = 8,
	DNS_MR = 9,
	DNS_PTR = 12,
	DNS_MINFO = 14,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_SIG = 24,
	DNS_KEY = 25,
	DNS_AAAA = 28,
	DNS_NXT = 30,
	DNS_SRV = 33,
	DNS_DNAME = 39,
	DNS_OPT = 41,
	DNS_DS = 43,
	DNS_RRSIG = 46,
	DNS_NSEC = 47,
	DNS_TSIG = 250,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_MAILB = 253,
	DNS_MAILA = 254,
	DNS_ANY = 255,
};

enum { DNS_CLASS_IN = 1, DNS_CLASS_CH = 3, DNS_CLASS_ANY = 255 };

/* Options of EDNS(0). */
enum { DNS_OPTION_NSID = 3, DNS_OPTION_COOKIE = 10 };

static inline uint16_t dns_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t dns_get32(const uint8_t *p)
{
	return (uint32_t)dns_get16(p) << 16 | dns_get16(p + 2);
}

static inline void dns_put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void dns_put32(uint8_t *p, uint32_t value)
{
	dns_put16(p, value >> 16);
	dns_put16(p + 2, value);
}

#endif
