/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROMISES_ICMP_H
#define TESTS_PROMISES_ICMP_H

/*
 * A flood of reports: "your datagram to 127.0.0.1:1 found nobody", forged, to one UDP socket of
 * this machine. In a namespace of our own we may.
 */

#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "promise.h"

struct icmp_flood {
	pthread_t thread;
	uint16_t port; /* the socket's, in network order */
	atomic_bool ends;
	atomic_ullong n_sent;
};

struct icmp_report {
	struct icmphdr icmp;
	struct iphdr ip; /* of the datagram that it is about */
	struct udphdr udp;
};

static inline uint16_t icmp_checksum(const void *data, size_t n_bytes)
{
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < n_bytes; i += 2) {
		memcpy(&word, (const char *)data + i, 2);
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static inline void *icmp_run(void *arg)
{
	struct icmp_flood *flood = arg;
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct icmp_report report = {
		.icmp = { .type = ICMP_DEST_UNREACH, .code = ICMP_PORT_UNREACH },
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_UDP,
			.tot_len = htons(28),
			.saddr = to.sin_addr.s_addr,
			.daddr = to.sin_addr.s_addr },
		.udp = { .source = flood->port, .dest = htons(1), .len = htons(8) },
	};
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	REQUIRE(fd >= 0);
	report.ip.check = icmp_checksum(&report.ip, sizeof report.ip);
	report.icmp.checksum = icmp_checksum(&report, sizeof report);
	while (!atomic_load(&flood->ends)) {
		if (sendto(fd, &report, sizeof report, 0, (const struct sockaddr *)&to, sizeof to) >
		    0)
			atomic_fetch_add(&flood->n_sent, 1);
	}
	close(fd);
	return NULL;
}

static inline void icmp_begin(struct icmp_flood *flood, uint16_t port)
{
	flood->port = port;
	atomic_store(&flood->ends, false);
	atomic_store(&flood->n_sent, 0);
	REQUIRE(pthread_create(&flood->thread, NULL, icmp_run, flood) == 0);
	while (atomic_load(&flood->n_sent) == 0)
		sched_yield();
}

static inline void icmp_end(struct icmp_flood *flood)
{
	atomic_store(&flood->ends, true);
	pthread_join(flood->thread, NULL);
}

#endif
