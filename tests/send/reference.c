/* SPDX-License-Identifier: MIT */

/* One sendto for each datagram, or sendmsg where it must say its source. */

#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ledger.h"
#include "lib/loopback.h"
#include "send/subject.h"

struct reference {
	int fds[SCRIPT_N_LISTENERS];
	struct volley_addr own[SCRIPT_N_LISTENERS];
	uint8_t data[SCRIPT_MAX_BYTES];
};

struct reference *reference_open(const struct script_world *world)
{
	static const char *const addresses[SCRIPT_N_LISTENERS] = { "127.0.0.2:0", "[::1]:0",
								   "0.0.0.0:0" };
	struct reference *reference = calloc(1, sizeof *reference);

	if (reference == NULL)
		abort();
	memcpy(reference->own, world->own, sizeof reference->own);
	for (uint32_t i = 0; i < SCRIPT_N_LISTENERS; i++) {
		int n_bytes = 8 << 20;

		reference->fds[i] = loopback_open(addresses[i], NULL);
		setsockopt(reference->fds[i], SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof n_bytes);
	}
	return reference;
}

void reference_close(struct reference *reference)
{
	for (uint32_t i = 0; i < SCRIPT_N_LISTENERS; i++)
		close(reference->fds[i]);
	free(reference);
}

static ssize_t send_from(int fd, const struct script_burst *burst, const uint8_t *data, size_t n)
{
	alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in_pktinfo))] = { 0 };
	struct cmsghdr *cmsg = (struct cmsghdr *)(void *)control;
	struct in_pktinfo info = { .ipi_spec_dst = burst->local.in.sin_addr };
	struct iovec iov = { (void *)(uintptr_t)data, n };
	struct msghdr msg = {
		.msg_name = (void *)(uintptr_t)burst->peer,
		.msg_namelen = burst->peer->len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};

	cmsg->cmsg_level = IPPROTO_IP;
	cmsg->cmsg_type = IP_PKTINFO;
	cmsg->cmsg_len = CMSG_LEN(sizeof info);
	memcpy(CMSG_DATA(cmsg), &info, sizeof info);
	return sendmsg(fd, &msg, 0);
}

static void send_burst(struct reference *reference, uint32_t listener,
		       const struct script_burst *burst, struct volley_stats *counts)
{
	uint32_t n = script_count(burst);

	script_fill(burst, reference->data);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *data = reference->data + (size_t)i * burst->segment_bytes;
		uint32_t len = script_len(burst, i);
		ssize_t r;

		counts->tx_requested++;
		/* The rules that are the library's own; the length comes before them. */
		if (len <= 65527 &&
		    (burst->peer->in.sin_port == 0 ||
		     burst->peer->in.sin_port == reference->own[listener].in.sin_port)) {
			counts->tx_dropped[VOLLEY_TX_REFUSED]++;
			continue;
		}
		if (burst->local.len > 0)
			r = send_from(reference->fds[listener], burst, data, len);
		else
			r = sendto(reference->fds[listener], data, len, 0, &burst->peer->sa,
				   burst->peer->len);
		if (r >= 0)
			counts->tx_sent++;
		else
			counts->tx_dropped[ledger_get_drop(errno)]++;
	}
}

void reference_run(struct reference *reference, const struct script *script,
		   struct volley_stats *counts)
{
	for (uint32_t i = 0; i < script->n_volleys; i++)
		for (uint32_t k = 0; k < script->volleys[i].n_bursts; k++)
			send_burst(reference, script->volleys[i].listener,
				   &script->volleys[i].bursts[k], counts);
}
