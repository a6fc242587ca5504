/* SPDX-License-Identifier: MIT */

/*
 * The server is never started: this thread is its worker. The backend is the real one with another
 * receive, which puts the script's bursts into the slots, those of several datagrams as the
 * super-packets that UDP_GRO would make of them.
 */

#include "send/subject.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io_ops.h"
#include "lib/ledger.h"
#include "path/backlog.h"
#include "path/pipeline.h"
#include "path/worker.h"
#include "send/receivers.h"
#include "server/state.h"
#include "sys/clock.h"
#include "sys/socket.h"
#include "worker/chores.h"

enum { MAX_MESSAGES = 2048 };

struct subject {
	struct volley_server *server;
	struct volley_worker *worker;
	const struct vly_io_ops *real;
	struct vly_io_ops ops;
	const struct script_volley *volley;
	bool given;     /* the volley has been received */
	uint32_t burst; /* whose replies are next */
	uint32_t datagram;
	bool keep; /* messages, where every destination is a receiver of ours */
	uint32_t n_messages;
	struct subject_message messages[MAX_MESSAGES];
};

/* The receive has no argument to find its script by, and there is one subject at a time. */
static _Thread_local struct subject *current;

static void die(const char *what)
{
	fprintf(stderr, "subject: %s\n", what);
	abort();
}

static int recv_script(struct vly_io *io, uint32_t listener, uint32_t n, bool wait)
{
	const struct script_volley *volley = current->volley;
	struct vly_slots *slots = &current->worker->intake.slots;

	(void)wait;
	io->rx_syscalls++;
	if (current->given || volley->listener != listener)
		return 0;
	if (volley->n_bursts >= n) /* a full volley would be asked for more */
		die("the script's volley is too long");
	for (uint32_t i = 0; i < volley->n_bursts; i++) {
		const struct script_burst *burst = &volley->bursts[i];
		struct vly_slot *slot = &slots->slots[i];

		script_fill(burst, slot->data);
		slot->len = burst->n_bytes;
		slot->flags = 0;
		slot->segment_bytes = burst->segment_bytes;
		slot->peer = *burst->peer;
		memset(&slots->infos[i], 0, sizeof slots->infos[i]);
		slots->infos[i].local = burst->local;
	}
	current->given = true;
	current->burst = 0;
	current->datagram = 0;
	return (int)volley->n_bursts;
}

static int send_real(struct vly_io *io, uint32_t listener, const struct vly_tx *tx,
		     const uint16_t *heads, uint32_t n)
{
	int r = current->real->send(io, listener, tx, heads, n);

	for (int i = 0; i < r && current->keep; i++) {
		const struct vly_tx *head = &tx[heads[i]];

		if (current->n_messages == MAX_MESSAGES)
			die("more messages than a script has datagrams");
		current->messages[current->n_messages++] = (struct subject_message){
			.inbox = receivers_find(head->peer, listener,
						head->header & VLY_CMSG_HEADER_LOCAL ? head->local
										     : NULL),
			.n = head->n_segments
		};
	}
	return r;
}

static void reply(struct volley_packet *packet, enum script_how how)
{
	uint8_t copy[SCRIPT_MAX_BYTES];
	void *room = NULL;

	if (how == SCRIPT_ROOM && packet->len > 0) {
		room = volley_packet_reply_buffer(packet, packet->len, NULL);
		if (room != NULL)
			memcpy(room, packet->data, packet->len);
	}
	if (how == SCRIPT_COPY) {
		memcpy(copy, packet->data, packet->len);
		volley_packet_reply(packet, copy, packet->len);
		memset(copy, 0xee, packet->len); /* it was copied, so this does not matter */
		return;
	}
	volley_packet_reply(packet, room != NULL ? room : packet->data, packet->len);
}

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	struct subject *subject = arg;

	(void)worker;
	for (size_t i = 0; i < n; i++) {
		const struct script_burst *burst = &subject->volley->bursts[subject->burst];

		reply(&packets[i], burst->how);
		if (++subject->datagram == script_count(burst)) {
			subject->datagram = 0;
			subject->burst++;
		}
	}
}

struct subject *subject_open(struct script_world *world, uint32_t listen_flags)
{
	static const char *const addresses[SCRIPT_N_LISTENERS] = { "127.0.0.2:0", "[::1]:0",
								   "0.0.0.0:0" };
	struct subject *subject = calloc(1, sizeof *subject);

	if (subject == NULL ||
	    volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .arena_bytes = 4 << 20,
					    .n_backlog = 4096, .backlog_us = 10000000),
			      &subject->server) < 0)
		die("no server");
	subject->worker = &subject->server->workers[0];
	for (uint32_t i = 0; i < SCRIPT_N_LISTENERS; i++) {
		/* The narrow path is believed, or its segments come apart on the way. */
		uint32_t mtu = i == 0 ? VOLLEY_MTU_KERNEL : VOLLEY_MTU_OMIT;
		struct volley_listener listener;

		if (volley_server_listen(subject->server, addresses[i],
					 VOLLEY_LISTEN(.on_batch = on_batch, .arg = subject,
						       .flags = listen_flags, .mtu_discover = mtu),
					 &listener) < 0 ||
		    volley_listener_get_addr(subject->server, listener, &world->own[i]) < 0)
			die("cannot listen");
	}
	/* Nobody is 0.0.0.0: a datagram of ours would come from where it was sent to. */
	world->own[2].in.sin_addr.s_addr = htonl(0x7f000003);
	subject->real = subject->worker->io->ops;
	subject->ops = *subject->real;
	subject->ops.recv = recv_script;
	subject->ops.send = send_real;
	subject->keep = world->slow;
	subject->worker->io->ops = &subject->ops;
	current = subject;
	return subject;
}

void subject_close(struct subject *subject)
{
	subject->worker->io->ops = subject->real;
	if (volley_server_free(subject->server) < 0)
		die("cannot free");
	free(subject);
}

void subject_set_sndbuf(struct subject *subject, int n_bytes)
{
	for (uint32_t i = 0; i < SCRIPT_N_LISTENERS; i++)
		if (vly_socket_set_int(vly_socks_get(&subject->worker->socks, i)->fd, SOL_SOCKET,
				       SO_SNDBUF, n_bytes) < 0)
			die("SO_SNDBUF");
}

/* What the event loop does with a backlog, in one place. */
static void wait_backlog(struct subject *subject)
{
	struct volley_worker *worker = subject->worker;
	struct pollfd fds[SCRIPT_N_LISTENERS];
	int64_t ns = vly_backlog_get_timeout(worker, vly_clock_get_ns());

	for (uint32_t i = 0; i < SCRIPT_N_LISTENERS; i++) {
		const struct vly_sock *sock = vly_socks_get(&worker->socks, i);

		fds[i].fd = sock->backlog.n > 0 && sock->backlog.retry_us == 0 ? sock->fd : -1;
		fds[i].events = POLLOUT;
	}
	if (poll(fds, SCRIPT_N_LISTENERS, (int)((ns + 999999) / 1000000)) < 0)
		die("poll");
	vly_backlog_flush(worker, vly_clock_get_ns());
	vly_pipeline_publish(worker);
}

void subject_run(struct subject *subject, const struct script *script)
{
	struct volley_worker *worker = subject->worker;
	const char *fault;

	subject->n_messages = 0;
	/* What the last script's refusals taught must not make this one easier. */
	for (uint32_t i = 0; i < SCRIPT_N_LISTENERS; i++)
		if (vly_socks_get(&worker->socks, i)->limits.until_ns != 0)
			vly_socks_get(&worker->socks, i)->limits.until_ns = 1;
	for (uint32_t i = 0; i < script->n_volleys; i++) {
		subject->volley = &script->volleys[i];
		subject->given = false;
		vly_socks_set_ready(vly_socks_get(&worker->socks, subject->volley->listener), true);
		vly_pipeline_run_once(worker, 1);
		if (vly_ledger_get_tx_queued(&worker->books) > 0)
			vly_chores_run_timers(worker);
	}
	while (vly_ledger_get_tx_queued(&worker->books) > 0)
		wait_backlog(subject);
	fault = ledger_find_server_fault(subject->server);
	if (fault != NULL)
		die(fault);
}

struct volley_stats subject_stats(struct subject *subject)
{
	struct volley_stats stats = { .size = sizeof stats };

	if (volley_server_get_stats(subject->server, &stats) < 0)
		die("no statistics");
	return stats;
}

const struct subject_message *subject_messages(const struct subject *subject, uint32_t *ret_n)
{
	*ret_n = subject->n_messages;
	return subject->messages;
}
