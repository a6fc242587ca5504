/* SPDX-License-Identifier: MIT */

/*
 * The tracer's ends of the sockets: fill a queue to a state before the call, and afterwards account
 * for every message by its number. Messages are numbered from 0 within a case; what only fills up a
 * send queue is numbered from FILLER.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "step.h"

#define FILLER 0x40000000u

struct wires wires;
static struct sockaddr_un listener_addr;
static socklen_t listener_len;
static int clients[N_MAX];
static int n_clients;

static int udp_pair(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	int few = 2304; /* room for about six messages: "full" is soon reached */

	wires.recv_in = socket(AF_INET, SOCK_DGRAM, 0);
	wires.recv_out = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(wires.recv_in, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
	if (bind(wires.recv_in, (struct sockaddr *)&addr, sizeof addr) < 0)
		return -errno;
	getsockname(wires.recv_in, (struct sockaddr *)&addr, &len);
	return connect(wires.recv_out, (struct sockaddr *)&addr, sizeof addr) < 0 ? -errno : 0;
}

int queues_open(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int pair[2];
	int few = 4608;

	if (udp_pair() < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 ||
	    pipe(wires.silent) < 0)
		return -errno;
	wires.send_in = pair[0];
	wires.send_out = pair[1];
	setsockopt(wires.send_in, SOL_SOCKET, SO_SNDBUF, &few, sizeof few);
	wires.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	listener_addr.sun_family = AF_UNIX;
	if (bind(wires.listener, (struct sockaddr *)&listener_addr, sizeof(sa_family_t)) < 0 ||
	    listen(wires.listener, N_BATCH) < 0)
		return -errno;
	listener_len = sizeof listener_addr;
	getsockname(wires.listener, (struct sockaddr *)&listener_addr, &listener_len);
	wires.epoll = epoll_create1(0);
	return epoll_ctl(wires.epoll, EPOLL_CTL_ADD, wires.recv_in, &event) < 0 ? -errno : 0;
}

static int fill_recv(int state)
{
	uint32_t meminfo[9], drops;
	socklen_t len = sizeof meminfo;
	int n = 0;

	getsockopt(wires.recv_in, SOL_SOCKET, SO_MEMINFO, meminfo, &len);
	drops = meminfo[8];
	for (uint32_t i = 0; state < 0 || n < state; i++) {
		if (send(wires.recv_out, &i, sizeof i, 0) < 0)
			return -errno;
		len = sizeof meminfo;
		getsockopt(wires.recv_in, SOL_SOCKET, SO_MEMINFO, meminfo, &len);
		if (meminfo[8] != drops)
			break;
		n++;
	}
	return n;
}

/* Leave room for `state` messages; 0 leaves the queue as it is. */
static void fill_send(int state)
{
	uint32_t number = FILLER;

	if (state == 0)
		return;
	while (send(wires.send_in, &number, sizeof number, MSG_DONTWAIT) > 0)
		number++;
	for (int i = 0; state > 0 && i < state; i++)
		recv(wires.send_out, &number, sizeof number, 0);
}

static int fill_listener(int state)
{
	int wanted = state < 0 ? N_BATCH : state;

	for (n_clients = 0; n_clients < wanted; n_clients++) {
		clients[n_clients] = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(clients[n_clients], (struct sockaddr *)&listener_addr, listener_len) <
		    0)
			return -errno;
	}
	return n_clients;
}

/* States: 0, 1, 3 messages, and -1 "full". For senders it is the room: 0 means plenty. */
int queue_fill(const struct op *op, int state)
{
	switch (op->direction) {
	case RECEIVES:
	case POLLS:
	case RELAYS:
		return fill_recv(state);
	case SENDS:
		fill_send(state);
		return 0;
	case ACCEPTS:
		return fill_listener(state);
	default:
		return 0;
	}
}

static int drain(int fd, uint32_t *numbers)
{
	int n = 0;
	uint32_t number;

	while (recv(fd, &number, sizeof number, MSG_DONTWAIT) == sizeof number)
		if (number < FILLER && n < N_MAX)
			numbers[n++] = number;
	return n;
}

static int drain_listener(void)
{
	struct pollfd waiting = { .fd = wires.listener, .events = POLLIN };
	int n = 0;

	while (poll(&waiting, 1, 0) > 0) {
		close(accept(wires.listener, NULL, NULL));
		n++;
	}
	for (int i = 0; i < n_clients; i++)
		close(clients[i]);
	n_clients = 0;
	return n;
}

/* Are numbers[] first, first + 1, ...? */
static bool in_order(const uint32_t *numbers, int n, uint32_t first)
{
	for (int i = 0; i < n; i++)
		if (numbers[i] != first + (uint32_t)i)
			return false;
	return true;
}

/*
 * Compare what the call reported with what is left. Returns how many messages are lost or
 * unreported (negative: doubled), and says anything else in fault.
 */
int queue_check(const struct op *op, int n_filled, char *fault, size_t n_fault)
{
	uint32_t left[N_MAX];
	uint32_t sent[N_MAX];
	int error = 0;
	socklen_t len = sizeof error;
	int r = getsockopt(wires.recv_in, SOL_SOCKET, SO_ERROR, &error, &len);
	int n_left = drain(wires.recv_in, left);
	int n_sent = drain(wires.send_out, sent);
	int n_waiting = drain_listener();
	int n_reported = shared->n_reported;

	if (r < 0 || error != 0)
		snprintf(fault, n_fault, "error %d left on the socket", error);
	switch (op->direction) {
	case RECEIVES:
	case POLLS:
		if (!in_order(shared->reported, n_reported, 0) ||
		    !in_order(left, n_left, (uint32_t)(n_filled - n_left)))
			snprintf(fault, n_fault, "messages out of order");
		return n_filled - n_reported - n_left;
	case SENDS:
		if (!in_order(sent, n_sent, 0))
			snprintf(fault, n_fault, "messages out of order");
		return n_sent - n_reported;
	case RELAYS:
		/* Forwarded plus counted as failed plus left is what there was. */
		if (n_sent != n_reported || !in_order(sent, n_sent, 0))
			snprintf(fault, n_fault, "forwarded %d, reported %d", n_sent, n_reported);
		return n_filled - n_reported - n_left;
	case ACCEPTS:
		return n_filled - n_reported - n_waiting;
	default:
		return 0;
	}
}
