/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_ADDR_H
#define VOLLEY_ADDR_H

/**
 * @file addr.h
 * An IPv4 or IPv6 socket address in 32 bytes, and its text form.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A socket address. `len` is the length of the member in use, 16 or 28 bytes; 0 means "none".
 */
struct volley_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	uint32_t len;
};

/** Room for any address that volley_addr_format() writes: "[v6%scope]:port" and the NUL. */
#define VOLLEY_ADDR_TEXT_BYTES 80

/**
 * Read an address from text: "127.0.0.1:53", "[::1]:53", "[fe80::1%eth0]:53", ":53" and "*:53"
 * (both [::]:53; volley_server_listen() makes 0.0.0.0 of them where there is no IPv6), port 0
 * allowed. Host names are not looked up.
 *
 * @param text      NUL-terminated text
 * @param ret_addr  the address; untouched on failure
 * @return 0, or -EINVAL when the text is not an address and a port, or -ENODEV when the scope names
 *         no interface, or -EMFILE, -ENFILE or -ENOMEM when nothing is left to ask for one with
 * @threads  any
 * @blocks   never
 */
VOLLEY_API int volley_addr_parse(const char *text, struct volley_addr *ret_addr);

/**
 * Write an address as text that volley_addr_parse() reads back.
 *
 * @param addr   IPv4 or IPv6 address
 * @param text   room of VOLLEY_ADDR_TEXT_BYTES
 * @param n_text bytes of that room
 * @return length without the NUL, or -ENOSPC, or -EAFNOSUPPORT
 * @threads  any
 * @blocks   never
 */
VOLLEY_API int volley_addr_format(const struct volley_addr *addr, char *text, size_t n_text);

/**
 * The port of an address, in host order.
 *
 * @return 0 to 65535
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint16_t volley_addr_get_port(const struct volley_addr *addr);

/**
 * Whether two addresses are the same: family, host, port, and for IPv6 the scope. An IPv4 address
 * and its IPv6-mapped form are two addresses.
 *
 * @param a  IPv4 or IPv6 address
 * @param b  the other one
 * @return true when they are
 * @threads  any
 * @blocks   never
 */
VOLLEY_API bool volley_addr_is_equal(const struct volley_addr *a, const struct volley_addr *b);

/**
 * A number for an address, for tables of clients: the same for two addresses that
 * volley_addr_is_equal() finds equal, whatever else stands in them. SipHash-2-4: who does not know
 * the key cannot find clients that collide, and a source address is easily forged. So draw the key
 * (getrandom(2), arc4random_buf(3)) when the table is made, and keep it to yourself. The number
 * means something to this process only: not on another machine, nor to another release.
 *
 * @param addr  IPv4 or IPv6 address
 * @param key   128 random bits
 * @return any number; 0 for NULL
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint64_t volley_addr_hash(const struct volley_addr *addr, const uint64_t key[2]);

/**
 * An IPv4 client of a listener on [::] as the IPv4 address that it is: 192.0.2.1 of
 * ::ffff:192.0.2.1, with the same port. Every other address is copied. For logs, and for lists of
 * addresses; a reply or send takes either form.
 *
 * @param addr      IPv4 or IPv6 address
 * @param ret_addr  the address; may be the same one
 * @return 0, or -EINVAL for NULL
 * @threads  any
 * @blocks   never
 */
VOLLEY_API int volley_addr_unmap(const struct volley_addr *addr, struct volley_addr *ret_addr);

/**
 * Whether it is a group's address: 224.0.0.0/4, also mapped into IPv6, and ff00::/8.
 *
 * @param addr  IPv4 or IPv6 address
 * @return true when it is
 * @threads  any
 * @blocks   never
 */
VOLLEY_API bool volley_addr_is_multicast(const struct volley_addr *addr);

#ifdef __cplusplus
}
#endif

#endif
