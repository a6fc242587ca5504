/* SPDX-License-Identifier: MIT */

/*
 * The generator's sending half. It must never be the bottleneck, so it does not do what a client
 * would:
 *
 *  - one socket is many clients: IP_PKTINFO gives each message its own source address (all of
 *    127.0.0.0/8 is ours on loopback), and the wildcard-bound socket gets all the replies;
 *  - a client's burst is one UDP_SEGMENT message: the kernel walks its stack once for up to 64
 *    datagrams, and a server without UDP_GRO still sees them one by one;
 *  - payloads and control messages are laid out before; a send patches sequence numbers.
 *
 * Consecutive bursts come from different clients, so a server sees runs of exactly n_burst
 * datagrams of one client and never longer ones by accident. A burst can also leave as messages of
 * their own (is_single), as from clients that do not segment: then a server's UDP_GRO has nothing
 * to find, and only the order of arrival is left, A A B B with bursts of 2, A B A B with 1.
 *
 * Closed loop: n_window datagrams are outstanding in all. Lost ones would choke it, so after 50 ms
 * without any reply what is outstanding is given up (assumed_lost, until it does come). Open loop:
 * message i is due at start + i * interval whatever the replies do, and latency counts from there;
 * a late sender is seen in the slip histogram. Checking the replies is generator_check.c's.
 */

#include "generator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "generator_check.h"
#include "generator_state.h"

#define CONTROL_SEGMENT CMSG_SPACE(sizeof(uint16_t))
#define CONTROL_SOURCE  CMSG_SPACE(sizeof(struct in_pktinfo))
#define GIVE_UP_NS      UINT64_C(50000000)

/* The kernel's SK_MEMINFO_DROPS. */
#define MEMINFO_DROPS 8

static uint32_t read_drops(int fd)
{
	uint32_t info[MEMINFO_DROPS + 1] = { 0 };
	socklen_t len = sizeof info;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[MEMINFO_DROPS];
}

static int set_options(const struct bench_load *load, int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &drop };
	int size = 4 << 20;
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if (load->drop_replies &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		return -errno;
	if (load->use_gro && setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one) < 0)
		return -errno;
	return 0;
}

static int open_socket(const struct bench_load *load)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = set_options(load, fd);
	if (r >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static void put_header(void *at, int level, int type, size_t n_data)
{
	struct cmsghdr cmsg = { .cmsg_len = CMSG_LEN(n_data),
				.cmsg_level = level,
				.cmsg_type = type };

	memcpy(at, &cmsg, sizeof cmsg);
}

static bool is_segmented(const struct bench_load *load)
{
	return load->n_burst > 1 && !load->is_single;
}

/* Datagrams of a burst that one message holds, and messages that make a burst. */
static uint32_t get_n_each(const struct bench_load *load)
{
	return load->is_single ? 1 : load->n_burst;
}

static uint32_t get_n_bursts_max(const struct bench_load *load)
{
	return GEN_N_MSGS * get_n_each(load) / load->n_burst;
}

/* Everything of a message that does not change from send to send. */
static void prepare_tx(struct bench_gen *gen)
{
	struct gen_tx *tx = &gen->tx;

	for (uint32_t i = 0; i < GEN_N_MSGS; i++) {
		struct msghdr *hdr = &tx->msgs[i].msg_hdr;

		tx->iovs[i].iov_base = tx->payloads + (size_t)i * tx->n_payload;
		*hdr = (struct msghdr){
			.msg_namelen = sizeof gen->load.server,
			.msg_iov = &tx->iovs[i],
			.msg_iovlen = 1,
			.msg_control = tx->control[i],
			.msg_controllen = CONTROL_SOURCE,
		};
		put_header(tx->control[i], IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo));
		if (!is_segmented(&gen->load))
			continue;
		hdr->msg_controllen = CONTROL_SOURCE + CONTROL_SEGMENT;
		put_header((uint8_t *)tx->control[i] + CONTROL_SOURCE, SOL_UDP, UDP_SEGMENT,
			   sizeof(uint16_t));
	}
}

static void prepare_rx(struct bench_gen *gen)
{
	struct gen_rx *rx = &gen->rx;

	for (uint32_t i = 0; i < rx->n_msgs; i++) {
		rx->iovs[i] = (struct iovec){ rx->slots + (size_t)i * rx->slot_bytes,
					      rx->slot_bytes };
		rx->msgs[i].msg_hdr = (struct msghdr){
			.msg_iov = &rx->iovs[i],
			.msg_iovlen = 1,
			.msg_control = gen->load.use_gro ? rx->control[i] : NULL,
			.msg_controllen = gen->load.use_gro ? sizeof rx->control[i] : 0,
		};
	}
}

static int check_load(const struct bench_load *load)
{
	uint32_t max = bench_sizes_get_max(&load->sizes);

	if (load->n_clients == 0 || load->n_sockets == 0 || load->n_sockets > load->n_clients)
		return -EINVAL;
	if (load->n_burst == 0 || load->n_burst > BENCH_LOAD_MAX_BURST)
		return -EINVAL;
	if ((uint64_t)max * get_n_each(load) > 65507 || (is_segmented(load) && max == 0))
		return -EMSGSIZE;
	return 0;
}

static int allocate(struct bench_gen *gen)
{
	const struct bench_load *load = &gen->load;

	gen->tx.n_payload = bench_sizes_get_max(&load->sizes) * get_n_each(load);
	gen->rx.slot_bytes = load->use_gro ? 65536 : sizeof(struct gen_stamp);
	gen->rx.n_msgs = load->use_gro ? 16 : GEN_N_MSGS;
	gen->servers = calloc(load->n_servers, sizeof *gen->servers);
	gen->fds = calloc(load->n_sockets, sizeof *gen->fds);
	gen->refused_before = calloc(load->n_sockets, sizeof *gen->refused_before);
	gen->next_client = calloc(load->n_sockets, sizeof *gen->next_client);
	gen->seen = calloc(GEN_SEEN_BITS / 64, sizeof *gen->seen);
	gen->newest = calloc(load->n_clients, sizeof *gen->newest);
	gen->tx.payloads = calloc(GEN_N_MSGS, gen->tx.n_payload + 1);
	gen->rx.slots = calloc(gen->rx.n_msgs, gen->rx.slot_bytes);
	if (gen->servers == NULL || gen->fds == NULL || gen->refused_before == NULL ||
	    gen->next_client == NULL || gen->seen == NULL || gen->newest == NULL ||
	    gen->tx.payloads == NULL || gen->rx.slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < load->n_servers; i++) {
		gen->servers[i] = load->server;
		gen->servers[i].sin_addr.s_addr = htonl(ntohl(load->server.sin_addr.s_addr) + i);
	}
	for (uint32_t i = 0; i < load->n_sockets; i++) {
		gen->fds[i] = -1;
		gen->next_client[i] = i;
	}
	return 0;
}

int bench_gen_open(const struct bench_load *load, struct bench_gen **ret_gen)
{
	struct bench_gen *gen;
	int r = check_load(load);

	if (r < 0)
		return r;
	gen = calloc(1, sizeof *gen);
	if (gen == NULL)
		return -ENOMEM;
	gen->load = *load;
	gen->load.n_servers = load->n_servers ? load->n_servers : 1;
	gen->magic = (uint32_t)bench_now_ns() | 1;
	for (uint32_t i = 0; i < load->sizes.n; i++)
		gen->n_weights += load->sizes.weight[i];
	r = allocate(gen);
	for (uint32_t i = 0; i < load->n_sockets && r >= 0; i++) {
		r = gen->fds[i] = open_socket(load);
		if (r >= 0)
			gen->refused_before[i] = read_drops(gen->fds[i]);
	}
	if (r < 0) {
		bench_gen_close(gen);
		return r;
	}
	prepare_tx(gen);
	prepare_rx(gen);
	*ret_gen = gen;
	return 0;
}

void bench_gen_close(struct bench_gen *gen)
{
	if (gen == NULL)
		return;
	for (uint32_t i = 0; gen->fds != NULL && i < gen->load.n_sockets; i++)
		if (gen->fds[i] >= 0)
			close(gen->fds[i]);
	free(gen->servers);
	free(gen->fds);
	free(gen->refused_before);
	free(gen->next_client);
	free(gen->seen);
	free(gen->newest);
	free(gen->tx.payloads);
	free(gen->rx.slots);
	free(gen);
}

static void stamp_message(struct bench_gen *gen, uint32_t i, const struct gen_stamp *burst,
			  uint32_t size, uint32_t n)
{
	const struct bench_load *load = &gen->load;
	uint8_t *control = (uint8_t *)gen->tx.control[i];
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(load->source +
								burst->client / load->n_sockets) };
	uint16_t segment = (uint16_t)size;
	struct gen_stamp stamp = *burst;
	uint8_t *at = gen->tx.iovs[i].iov_base;

	gen->tx.msgs[i].msg_hdr.msg_name = &gen->servers[gen->n_bursts % load->n_servers];
	gen->tx.iovs[i].iov_len = (size_t)size * n;
	memcpy(control + CMSG_LEN(0), &info, sizeof info);
	if (is_segmented(load))
		memcpy(control + CONTROL_SOURCE + CMSG_LEN(0), &segment, sizeof segment);
	for (uint32_t k = 0; k < n; k++, at += size) {
		stamp.seq = gen->next_seq++;
		gen->seen[(stamp.seq % GEN_SEEN_BITS) / 64] &= ~(UINT64_C(1) << (stamp.seq % 64));
		if (size >= sizeof stamp)
			memcpy(at, &stamp, sizeof stamp);
	}
}

/* A burst of n datagrams of the next client, in messages from the at-th on. How many it took. */
static uint32_t stamp_burst(struct bench_gen *gen, uint32_t at, uint32_t n, uint64_t due_ns)
{
	uint32_t size = bench_gen_pick_size(gen, gen->n_bursts);
	uint32_t *next = &gen->next_client[gen->next_socket];
	struct gen_stamp stamp = { gen->magic, *next, 0, due_ns };
	uint32_t n_msgs = gen->load.is_single ? n : 1;

	for (uint32_t i = 0; i < n_msgs; i++)
		stamp_message(gen, at + i, &stamp, size, n / n_msgs);
	gen->n_bursts++;
	*next += gen->load.n_sockets;
	if (*next >= gen->load.n_clients)
		*next = gen->next_socket;
	return n_msgs;
}

/*
 * What the kernel did not take is given back: nobody replies to its numbers, so they are not
 * counted as sent. A message holds n_each datagrams.
 */
static int send_batch(struct bench_gen *gen, uint32_t n_msgs, uint32_t n_each)
{
	int fd = gen->fds[gen->next_socket];
	uint32_t done = 0;
	int error = 0;

	gen->next_socket = (gen->next_socket + 1) % gen->load.n_sockets;
	while (done < n_msgs) {
		int r = sendmmsg(fd, gen->tx.msgs + done, n_msgs - done, 0);

		gen->counts.send_calls++;
		if (r > 0) {
			gen->counts.sent += (uint64_t)r * n_each;
			gen->outstanding += (uint64_t)r * n_each;
			done += (uint32_t)r;
			continue;
		}
		error = errno;
		gen->counts.send_failed += n_each;
		done++;
	}
	/*
	 * A refused send under load is the kernel's "not now"; anything else is a mistake of ours.
	 */
	return error == 0 || error == EAGAIN || error == ENOBUFS || error == ECONNREFUSED ? 0
											  : -error;
}

static int send_bursts(struct bench_gen *gen, uint32_t n_bursts, uint64_t due_ns)
{
	uint32_t n_msgs = 0;

	for (uint32_t i = 0; i < n_bursts; i++)
		n_msgs += stamp_burst(gen, n_msgs, gen->load.n_burst, due_ns);
	return send_batch(gen, n_msgs, get_n_each(&gen->load));
}

int bench_gen_push(struct bench_gen *gen, uint64_t n)
{
	uint32_t n_burst = gen->load.n_burst;
	uint32_t n_msgs;

	while (n >= n_burst) {
		uint64_t n_bursts = n / n_burst;
		int r;

		if (n_bursts > get_n_bursts_max(&gen->load))
			n_bursts = get_n_bursts_max(&gen->load);
		r = send_bursts(gen, (uint32_t)n_bursts, 0);
		if (r < 0)
			return r;
		n -= n_bursts * n_burst;
	}
	if (n == 0)
		return 0;
	n_msgs = stamp_burst(gen, 0, (uint32_t)n, 0);
	gen->next_seq += n_burst - n; /* a burst's number follows from the sequence's */
	return send_batch(gen, n_msgs, (uint32_t)n / n_msgs);
}

/*
 * Closed loop: fill the window, but not before a quarter of it is free (or a full sendmmsg's
 * worth): the generator batches as well as the server.
 */
static int step_closed(struct bench_gen *gen, uint64_t now)
{
	const struct bench_load *load = &gen->load;
	uint32_t window = load->n_window;
	uint32_t room = window > gen->outstanding ? window - (uint32_t)gen->outstanding : 0;
	uint32_t quarter = window / 4 > load->n_burst ? window / 4 : load->n_burst;
	uint32_t n_bursts = room / load->n_burst;
	uint32_t n_max = get_n_bursts_max(load);

	if (n_bursts > 0 && (room >= quarter || n_bursts >= n_max))
		return send_bursts(gen, n_bursts < n_max ? n_bursts : n_max, now);
	if (now > gen->last_reply_ns + GIVE_UP_NS) {
		gen->counts.assumed_lost += gen->outstanding;
		gen->outstanding = 0;
		gen->last_reply_ns = now;
	}
	return 0;
}

static int step_open(struct bench_gen *gen, uint64_t now)
{
	const struct bench_load *load = &gen->load;
	double interval = load->rate > 0 ? 1e9 * load->n_burst / load->rate : 0;
	double due = (double)gen->next_due_ns;
	uint32_t n_msgs = 0;

	for (uint32_t i = get_n_bursts_max(load); i > 0 && due <= (double)now; i--) {
		n_msgs += stamp_burst(gen, n_msgs, load->n_burst, (uint64_t)due);
		bench_histogram_add(&gen->slip, now - (uint64_t)due);
		due += interval;
	}
	gen->next_due_ns = load->rate > 0 ? (uint64_t)due : now;
	return n_msgs ? send_batch(gen, n_msgs, get_n_each(load)) : 0;
}

/*
 * As many replies as one step sends requests: a generator that falls behind must not read less than
 * it sends, or its own socket overflows.
 */
static void recv_all(struct bench_gen *gen)
{
	for (uint32_t i = 0; i <= gen->load.n_burst; i++)
		if (bench_gen_recv(gen) < gen->rx.n_msgs)
			break;
}

int bench_gen_run(struct bench_gen *gen, uint64_t duration_ns)
{
	uint64_t start = bench_now_ns();
	uint64_t now = start;
	uint64_t next_look = start;
	int r = 0;

	gen->next_due_ns = start;
	gen->last_reply_ns = start;
	while (r >= 0 && now - start < duration_ns) {
		if (!gen->load.drop_replies)
			recv_all(gen);
		r = gen->load.n_window ? step_closed(gen, now) : step_open(gen, now);
		now = bench_now_ns();
		if (now >= next_look) {
			next_look = now + 10000000;
			if (bench_interrupt_is_pending())
				return -EINTR;
		}
	}
	return r < 0 ? r : 0;
}

void bench_gen_drain(struct bench_gen *gen, uint64_t quiet_ns)
{
	uint64_t last = bench_now_ns();

	while (gen->counts.unique + gen->counts.unstamped < gen->counts.sent &&
	       bench_now_ns() - last < quiet_ns)
		if (bench_gen_recv(gen) > 0)
			last = bench_now_ns();
}

void bench_gen_get_counts(const struct bench_gen *gen, struct bench_gen_counts *ret_counts)
{
	*ret_counts = gen->counts;
}

uint64_t bench_gen_get_refused(const struct bench_gen *gen)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < gen->load.n_sockets; i++)
		sum += (uint32_t)(read_drops(gen->fds[i]) - gen->refused_before[i]);
	return sum;
}

struct bench_histogram *bench_gen_get_latency(struct bench_gen *gen)
{
	return &gen->latency;
}

struct bench_histogram *bench_gen_get_slip(struct bench_gen *gen)
{
	return &gen->slip;
}

void bench_gen_clear(struct bench_gen *gen)
{
	memset(&gen->latency, 0, sizeof gen->latency);
	memset(&gen->slip, 0, sizeof gen->slip);
}
