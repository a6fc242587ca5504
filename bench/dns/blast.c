/* SPDX-License-Identifier: MIT */

/*
 * Saturates a DNS server with preformatted queries and counts its answers without reading them:
 * each client is a socket whose filter drops everything, and the kernel counts the drops.
 *
 *	dns-blast PORT SECONDS N_CLIENTS BURST MIX
 *
 * BURST queries of one client go together. MIX 0: A of 20,000 names, answers of one size; MIX 1: A,
 * AAAA, MX and names that do not exist. Prints "sent answered".
 */

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { N_QUERIES = 65536, QUERY_BYTES = 64, MAX_BURST = 64, N_NAMES = 20000, MAX_CLIENTS = 1024 };

static uint8_t queries[N_QUERIES][QUERY_BYTES];
static size_t lengths[N_QUERIES];

static void make_queries(int mix)
{
	static const uint8_t zone[] = "\5bench\4test";
	static const uint8_t types[] = { 1, 28, 15, 1 };

	srand(1);
	for (size_t i = 0; i < N_QUERIES; i++) {
		size_t kind = mix ? (size_t)rand() % 4 : 0;
		uint8_t *p = queries[i];
		char name[32];

		p[0] = (uint8_t)(i >> 8);
		p[1] = (uint8_t)i;
		p[5] = 1;
		p[12] = 9;
		snprintf(name, sizeof name, "%s%05d", kind == 3 ? "none" : "host",
			 rand() % N_NAMES);
		memcpy(p + 13, name, 9);
		memcpy(p + 22, zone, sizeof zone); /* with the root label */
		p[22 + sizeof zone + 1] = types[kind];
		p[22 + sizeof zone + 3] = 1;
		lengths[i] = 22 + sizeof zone + 4;
	}
}

static int open_client(int port)
{
	struct sock_filter drop = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog program = { 1, &drop };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) {
		perror("dns-blast");
		exit(1);
	}
	return fd;
}

static uint64_t count_answers(const int *fds, int n)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++) {
		uint32_t info[SK_MEMINFO_VARS] = { 0 };
		socklen_t size = sizeof info;

		getsockopt(fds[i], SOL_SOCKET, SO_MEMINFO, info, &size);
		sum += info[SK_MEMINFO_DROPS];
	}
	return sum;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int send_burst(int fd, size_t *next, unsigned int burst)
{
	struct mmsghdr msgs[MAX_BURST];
	struct iovec iovs[MAX_BURST];

	memset(msgs, 0, burst * sizeof msgs[0]);
	for (unsigned int i = 0; i < burst; i++) {
		size_t k = (*next)++ % N_QUERIES;

		iovs[i] = (struct iovec){ queries[k], lengths[k] };
		msgs[i].msg_hdr.msg_iov = &iovs[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	return sendmmsg(fd, msgs, burst, 0);
}

int main(int argc, char **argv)
{
	int fds[MAX_CLIENTS];
	unsigned int burst;
	uint64_t sent = 0;
	size_t next = 0;
	int n_clients;
	double end;

	if (argc != 6) {
		fprintf(stderr, "usage: dns-blast PORT SECONDS N_CLIENTS BURST MIX\n");
		return 2;
	}
	n_clients = atoi(argv[3]);
	burst = (unsigned int)atoi(argv[4]);
	if (n_clients < 1 || n_clients > MAX_CLIENTS || burst < 1 || burst > MAX_BURST)
		return 2;
	make_queries(atoi(argv[5]));
	for (int i = 0; i < n_clients; i++)
		fds[i] = open_client(atoi(argv[1]));
	for (end = now() + atof(argv[2]); now() < end;) {
		for (int i = 0; i < n_clients; i++) {
			int n = send_burst(fds[i], &next, burst);

			sent += n > 0 ? (uint64_t)n : 0;
		}
	}
	printf("%llu %llu\n", (unsigned long long)sent,
	       (unsigned long long)count_answers(fds, n_clients));
	return 0;
}
