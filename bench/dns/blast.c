/* SPDX-License-Identifier: MIT */

/*
 * Saturates a DNS server with preformatted queries and counts its answers without reading them: the
 * socket's filter drops everything, and the kernel counts the drops.
 *
 *	dns-blast PORT SECONDS N_CLIENTS BURST MIX
 *
 * One socket plays all clients, each with an address of 127/8 of its own: so many of them go into
 * one system call, which a generator must that is to be 1.5 times as fast as any server. BURST
 * queries of one client go together, as one segmented message. MIX 0: A of 20,000 names, answers of
 * one size; MIX 1: A, AAAA, MX and names that do not exist. PORT 0 sends to a socket of our own
 * that drops everything: what the generator can do.
 *
 * Prints "port N", the port that it sends from, and at the end "sent answered", when no answer came
 * for a while.
 */

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	N_QUERIES = 65536, /* a multiple of every burst */
	QUERY_BYTES = 38,
	N_TOGETHER = 64, /* messages in one system call */
	MAX_BURST = 64,
	N_NAMES = 20000,
	MAX_CLIENTS = 4096,
	SEND_BYTES = 64 << 20, /* never the sender's own buffer: the server's is what fills */
	FIRST_CLIENT = 0x7f010001,
	QUIET_US = 50000,
};

struct blast {
	int fd;
	struct sockaddr_in to;
	uint32_t n_clients;
	uint32_t burst;
	uint32_t client;
	size_t query;
	uint64_t n_sent;
	struct mmsghdr msgs[N_TOGETHER];
	struct iovec iovs[N_TOGETHER];
	alignas(struct cmsghdr) uint8_t control[N_TOGETHER][CMSG_SPACE(sizeof(struct in_pktinfo)) +
							    CMSG_SPACE(sizeof(uint16_t))];
	uint8_t queries[N_QUERIES][QUERY_BYTES];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void make_queries(struct blast *blast, bool mix)
{
	static const uint8_t zone[] = "\5bench\4test";
	static const uint8_t types[] = { 1, 28, 15, 1 };
	uint64_t random = 88172645463325252u;

	for (size_t i = 0; i < N_QUERIES; i++) {
		uint8_t *p = blast->queries[i];
		char name[16];
		size_t kind;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		kind = mix ? random >> 40 & 3 : 0;
		p[0] = (uint8_t)(i >> 8);
		p[1] = (uint8_t)i;
		p[5] = 1;
		p[12] = 9;
		snprintf(name, sizeof name, "%s%05u", kind == 3 ? "none" : "host",
			 (unsigned int)(random % N_NAMES));
		memcpy(p + 13, name, 9);
		memcpy(p + 22, zone, sizeof zone); /* with the root label */
		p[22 + sizeof zone + 1] = types[kind];
		p[22 + sizeof zone + 3] = 1;
	}
}

/* A socket on any free port that drops what comes. */
static int open_socket(struct sockaddr_in *ret_addr)
{
	struct sock_filter drop = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog program = { 1, &drop };
	socklen_t size = sizeof *ret_addr;
	int n_bytes = SEND_BYTES;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret_addr = (struct sockaddr_in){ .sin_family = AF_INET };
	if (fd < 0 || bind(fd, (struct sockaddr *)ret_addr, sizeof *ret_addr) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_addr, &size) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		die("dns-blast: socket");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &n_bytes, sizeof n_bytes) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof n_bytes) < 0)
		die("dns-blast: SO_SNDBUF");
	return fd;
}

static uint64_t count_answers(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof info;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
		die("dns-blast: SO_MEMINFO");
	return info[SK_MEMINFO_DROPS];
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void prepare(struct blast *blast)
{
	for (size_t i = 0; i < N_TOGETHER; i++) {
		struct msghdr *msg = &blast->msgs[i].msg_hdr;
		uint16_t segment = QUERY_BYTES;
		struct cmsghdr *cmsg;

		msg->msg_name = &blast->to;
		msg->msg_namelen = sizeof blast->to;
		msg->msg_iov = &blast->iovs[i];
		msg->msg_iovlen = 1;
		msg->msg_control = blast->control[i];
		msg->msg_controllen = sizeof blast->control[i];
		cmsg = CMSG_FIRSTHDR(msg);
		cmsg->cmsg_level = IPPROTO_IP;
		cmsg->cmsg_type = IP_PKTINFO;
		cmsg->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
		cmsg = CMSG_NXTHDR(msg, cmsg);
		cmsg->cmsg_level = SOL_UDP;
		cmsg->cmsg_type = UDP_SEGMENT;
		cmsg->cmsg_len = CMSG_LEN(sizeof segment);
		memcpy(CMSG_DATA(cmsg), &segment, sizeof segment);
		if (blast->burst == 1)
			msg->msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo));
	}
}

static void send_together(struct blast *blast)
{
	int n;

	for (size_t i = 0; i < N_TOGETHER; i++) {
		struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(FIRST_CLIENT +
									blast->client) };

		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&blast->msgs[i].msg_hdr)), &info, sizeof info);
		blast->iovs[i] = (struct iovec){ blast->queries[blast->query],
						 (size_t)blast->burst * QUERY_BYTES };
		blast->query = (blast->query + blast->burst) % N_QUERIES;
		blast->client = (blast->client + 1) % blast->n_clients;
	}
	n = sendmmsg(blast->fd, blast->msgs, N_TOGETHER, 0);
	if (n < 0)
		die("dns-blast: sendmmsg");
	blast->n_sent += (uint64_t)n * blast->burst;
}

/* The answers, when no more come. */
static uint64_t wait_for_answers(const struct blast *blast)
{
	uint64_t n = count_answers(blast->fd);
	uint64_t before;

	do {
		before = n;
		usleep(QUIET_US);
		n = count_answers(blast->fd);
	} while (n != before);
	return n;
}

int main(int argc, char **argv)
{
	static struct blast blast;
	struct sockaddr_in from;
	double end;

	if (argc != 6) {
		fprintf(stderr, "usage: dns-blast PORT SECONDS N_CLIENTS BURST MIX\n");
		return 2;
	}
	blast.n_clients = (uint32_t)strtoul(argv[3], NULL, 10);
	blast.burst = (uint32_t)strtoul(argv[4], NULL, 10);
	if (blast.n_clients < 1 || blast.n_clients > MAX_CLIENTS || blast.burst < 1 ||
	    blast.burst > MAX_BURST || N_QUERIES % blast.burst != 0)
		return 2;
	make_queries(&blast, argv[5][0] != '0');
	blast.fd = open_socket(&from);
	blast.to.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	if (blast.to.sin_port == 0)
		open_socket(&blast.to);
	blast.to.sin_family = AF_INET;
	blast.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	prepare(&blast);
	printf("port %d\n", ntohs(from.sin_port));
	fflush(stdout);
	for (end = now() + strtod(argv[2], NULL); now() < end;)
		send_together(&blast);
	printf("%llu %llu\n", (unsigned long long)blast.n_sent,
	       (unsigned long long)wait_for_answers(&blast));
	return 0;
}
