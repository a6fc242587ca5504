/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ADDRESS_H
#define BENCH_ADDRESS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* "127.0.0.1:7777", as libraries and programs want it. */
static inline void bench_addr_format(const struct sockaddr_in *addr, char *text, size_t n_text)
{
	uint32_t a = ntohl(addr->sin_addr.s_addr);

	snprintf(text, n_text, "%u.%u.%u.%u:%u", a >> 24, (a >> 16) & 255, (a >> 8) & 255, a & 255,
		 ntohs(addr->sin_port));
}

#endif
