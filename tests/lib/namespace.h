/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_NAMESPACE_H
#define TESTS_LIB_NAMESPACE_H

/*
 * A network of the test's own, for plain programs: anonymous, so it goes away with the process and
 * nothing has to be cleaned up. To be entered before any thread is started.
 */

#include <stdbool.h>
#include <stdint.h>

/*
 * Move into a fresh network namespace with its loopback up; as root, or in a user namespace of our
 * own. False, with the reason on stderr, where that is not allowed.
 */
bool namespace_enter(void);

/*
 * The namespace that the calling thread is in, as a descriptor, and into another one: a test with
 * several hosts enters a fresh one for each and goes to and fro. Sockets stay where they were made.
 * A link is moved by `ip link set NAME netns /proc/PID/fd/N`.
 */
int namespace_get(void);
void namespace_set(int fd);

/* Run a command there, such as "ip route add ...". False, its words on stderr, when it fails. */
__attribute__((format(printf, 1, 2))) bool namespace_run(const char *format, ...);

/*
 * A counter of /proc/net/snmp, such as "Udp", "SndbufErrors", for both families. Ends the process
 * when there is none of that name.
 */
uint64_t namespace_snmp(const char *protocol, const char *name);

#endif
