/* SPDX-License-Identifier: MIT */

/*
 * Which worker a datagram comes to: each replies with its index. In a network namespace, for
 * broadcasts and groups; a plain program, since Criterion's threads cannot move there.
 * test_steer_restart.c has sockets that others had before.
 */

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../examples/quic_ids.h"
#include "lib/namespace.h"
#include "steer.h"

static void steer_by_byte(const char *address, uint32_t offset)
{
	struct volley_server *server = steer_start(
		address, 0, VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE, .steer_offset = offset));
	uint8_t data[64] = { 0 };

	for (uint32_t i = 0; i < STEER_N_WORKERS; i++) {
		data[offset] = (uint8_t)i;
		steer_expect(server, data, sizeof data, i);
		steer_expect(server, data, offset + 1, i);
	}
	data[offset] = STEER_N_WORKERS;
	steer_expect_spread(server, data, sizeof data);
	data[offset] = 255;
	steer_expect_spread(server, data, sizeof data);
	data[offset] = 0;
	steer_expect_spread(server, data, offset);
	steer_expect_spread(server, data, 0);
	CHECK_EQ(volley_server_free(server), 0);
}

static void flow_is_spread(void)
{
	struct volley_server *server = steer_start("127.0.0.1:0", 0, VOLLEY_LISTEN(.flags = 0));

	steer_expect_spread(server, "\0\0\0", 4);
	CHECK_EQ(volley_server_free(server), 0);
}

/* On both families at once, of which IPv4 comes mapped. */
static void both_families_are_steered(void)
{
	struct volley_server *server = steer_start("[::]:0", 0,
						   VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE));
	struct volley_addr in6 = listener_addr(server, 0);
	struct volley_addr in4 = loopback_addr("127.0.0.1:0");

	in6.in6.sin6_addr = in6addr_loopback;
	in4.in.sin_port = in6.in6.sin6_port;
	for (uint8_t i = 0; i < STEER_N_WORKERS; i++) {
		CHECK_EQ(steer_ask(&in6, &i, 1), i);
		CHECK_EQ(steer_ask(&in4, &i, 1), i);
	}
	CHECK_EQ(volley_server_free(server), 0);
}

/* A handler's worker is that of the socket. */
static void handlers_are_their_workers(void)
{
	struct volley_server *server = steer_start("127.0.0.1:0", 2,
						   VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE));

	for (uint8_t i = 0; i < STEER_N_WORKERS; i++)
		steer_expect(server, &i, 1, i);
	CHECK_EQ(volley_server_free(server), 0);
}

/* CPUs ----------------------------------------------------------------------------------------- */

static void run_on(const int *cpus, int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < n; i++)
		CPU_SET(cpus[i], &set);
	REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0);
}

/* Over loopback the sender's CPU receives. */
static void cpus_are_places_in_the_mask(void)
{
	int cpus[CPU_SETSIZE];
	int n = 0;
	cpu_set_t all;

	REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all))
			cpus[n++] = cpu;
	if (n < 2) {
		SKIP("there is one CPU only");
		return;
	}
	for (int first = 0; first < 2; first++) {
		struct volley_server *server;

		run_on(&cpus[first], n - first);
		server = steer_start("127.0.0.1:0", 0, VOLLEY_LISTEN(.steer = VOLLEY_STEER_CPU));
		for (int i = first; i < n && i - first < STEER_N_WORKERS; i++) {
			run_on(&cpus[i], 1);
			steer_expect(server, "x", 1, (uint32_t)(i - first));
		}
		run_on(cpus, 1);
		if (first > 0)
			steer_expect_spread(server, "x", 1); /* it is not in the mask */
		run_on(cpus, n);
		CHECK_EQ(volley_server_free(server), 0);
	}
}

/* Programs ------------------------------------------------------------------------------------- */

/* The program is the caller's, who may write over it as soon as listen returns. */
static void steer_by_program(void)
{
	struct sock_filter program[N_QUIC_IDS];
	struct volley_server *server;
	const uint8_t none[21] = { 0xc0, 0, 0, 0, 1, 0, 1 };

	memcpy(program, quic_ids, sizeof program);
	server = steer_start("127.0.0.1:0", 0,
			     VOLLEY_LISTEN(.steer = VOLLEY_STEER_PROGRAM, .steer_program = program,
					   .n_steer_program = N_QUIC_IDS));
	memset(program, 0, sizeof program);
	for (uint8_t i = 0; i < STEER_N_WORKERS; i++) {
		const uint8_t is_short[21] = { 0x40, i, 0, 0, 0, 8, STEER_N_WORKERS - 1 - i };
		const uint8_t is_long[21] = { 0xc0, STEER_N_WORKERS - 1 - i, 0, 0, 1, 8, i };

		steer_expect(server, is_short, sizeof is_short, i);
		steer_expect(server, is_long, sizeof is_long, i);
		steer_expect_spread(server, is_long, 6);
	}
	steer_expect_spread(server, none, sizeof none);
	CHECK_EQ(volley_server_free(server), 0);
}

/* What the kernel does not take, with one worker as with several. */
static void bad_programs_are_refused(void)
{
	static const struct sock_filter endless[] = { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0) };
	static const struct sock_filter unknown[] = { BPF_STMT(0xffff, 0),
						      BPF_STMT(BPF_RET | BPF_K, 0) };
	static const struct sock_filter outside[] = { BPF_JUMP(BPF_JMP | BPF_JA, 7, 0, 0),
						      BPF_STMT(BPF_RET | BPF_K, 0) };
	static const struct {
		const struct sock_filter *program;
		uint32_t n;
	} bad[] = { { endless, 1 }, { unknown, 2 }, { outside, 2 } };

	for (uint32_t i = 0; i < 6; i++) {
		struct volley_server *server = steer_new_server(i < 3 ? STEER_N_WORKERS : 1, 0);
		struct volley_listen_config config =
			*VOLLEY_LISTEN(.steer = VOLLEY_STEER_PROGRAM,
				       .steer_program = bad[i % 3].program,
				       .n_steer_program = bad[i % 3].n);

		CHECK_EQ(steer_listen(server, "127.0.0.1:0", &config), -EINVAL);
		CHECK(strstr(steer_log, "steer_program") != NULL);
		CHECK_EQ(volley_server_get_listeners(server, NULL, 0), 0);
		CHECK_EQ(volley_server_free(server), 0);
	}
}

/* The rest of a listener ----------------------------------------------------------------------- */

static void one_socket_gets_all(void)
{
	static const uint32_t ways[] = { VOLLEY_STEER_CPU, VOLLEY_STEER_BYTE,
					 VOLLEY_STEER_PROGRAM };

	for (size_t i = 0; i < 3; i++) {
		struct volley_server *server = steer_new_server(1, 0);
		struct volley_listen_config config = *VOLLEY_LISTEN(.steer = ways[i]);

		if (ways[i] == VOLLEY_STEER_PROGRAM) {
			config.steer_program = quic_ids;
			config.n_steer_program = N_QUIC_IDS;
		}
		REQUIRE(steer_listen(server, "127.0.0.1:0", &config) == 0);
		REQUIRE(volley_server_start(server) == 0);
		for (uint8_t k = 0; k < 4; k++)
			steer_expect(server, &k, 1, 0);
		CHECK_EQ(volley_server_free(server), 0);
	}
}

/* One socket gets all, however many workers there are: it has no program, which would only cost. */
static void one_socket_has_no_program(void)
{
	static const struct {
		uint32_t n_workers, flags;
	} cases[] = { { 1, 0 }, { STEER_N_WORKERS, VOLLEY_LISTEN_ONE_SOCKET } };

	for (uint32_t i = 0; i < 2; i++) {
		struct volley_server *server = steer_new_server(cases[i].n_workers, 0);
		struct volley_listener listener;
		int none = 0;
		int fd;

		REQUIRE(steer_listen(server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE,
						   .flags = cases[i].flags)) == 0);
		REQUIRE(volley_server_get_listeners(server, &listener, 1) == 1);
		fd = volley_listener_get_fd(server, listener, 0);
		REQUIRE(fd >= 0);
		CHECK_EQ(volley_listener_get_fd(server, listener, 1), -ENOENT);
		CHECK(setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none) < 0);
		CHECK_EQ(volley_server_free(server), 0);
	}
}

/* The option that the program needs before the bind lets nobody in. */
static void the_port_stays_ours(void)
{
	struct volley_server *server = steer_start("127.0.0.1:0", 0,
						   VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE));
	struct volley_server *other = steer_new_server(STEER_N_WORKERS, 0);
	struct volley_addr addr = listener_addr(server, 0);
	char text[VOLLEY_ADDR_TEXT_BYTES];

	volley_addr_format(&addr, text, sizeof text);
	CHECK_EQ(steer_listen(other, text, VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE)), -EADDRINUSE);
	CHECK_EQ(steer_listen(other, text, VOLLEY_LISTEN(.flags = 0)), -EADDRINUSE);
	CHECK_EQ(volley_server_free(other), 0);
	CHECK_EQ(volley_server_free(server), 0);
}

/* Two addresses of one port, of which the second is bound beside the first: each its own way. */
static void each_address_has_its_own_way(void)
{
	struct volley_server *server = steer_start("[::]:0", 0,
						   VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE));
	struct volley_addr in6 = listener_addr(server, 0);
	struct volley_addr in4 = loopback_addr("127.0.0.1:0");
	const uint8_t data[] = { 1, 2 };
	char text[VOLLEY_ADDR_TEXT_BYTES];

	in6.in6.sin6_addr = in6addr_loopback;
	in4.in.sin_port = in6.in6.sin6_port;
	volley_addr_format(&in4, text, sizeof text);
	REQUIRE(steer_listen(server, text,
			     VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE, .steer_offset = 1)) == 0);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(steer_ask(&in6, data, 2), 1);
		CHECK_EQ(steer_ask(&in4, data, 2), 2);
	}
	CHECK_EQ(volley_server_free(server), 0);
}

/* What is sent to many comes to each socket, and the first serves it, whatever it says. */
static void what_is_sent_to_many_is_not_steered(void)
{
	struct volley_server *server = steer_start("0.0.0.0:0", 0,
						   VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE));
	struct volley_group group = { .size = sizeof group, .interface = "lo" };
	struct volley_addr to = listener_addr(server, 0);

	REQUIRE(volley_addr_parse("239.1.2.3:0", &group.group) == 0);
	REQUIRE(volley_listener_join(server, listener_at(server, 0), &group) == 0);
	for (uint8_t i = 0; i < STEER_N_WORKERS; i++) {
		to.in.sin_addr = group.group.in.sin_addr;
		CHECK_EQ(steer_ask(&to, &i, 1), 0);
		to.in.sin_addr.s_addr = htonl(0x7fffffff);
		CHECK_EQ(steer_ask(&to, &i, 1), 0);
		to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		CHECK_EQ(steer_ask(&to, &i, 1), i);
	}
	CHECK_EQ(volley_server_free(server), 0);
}

static atomic_uint n_reports[STEER_N_WORKERS];

static void count_report(struct volley_worker *worker, const struct volley_addr *peer, int error,
			 void *arg)
{
	(void)peer, (void)error, (void)arg;
	atomic_fetch_add(&n_reports[volley_worker_get_index(worker)], 1);
}

/* Worker 1 replies to clients that are gone, and others hear of it as well. */
static void reports_are_not_steered(void)
{
	struct volley_server *server = steer_new_server(STEER_N_WORKERS, 0);
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_addr to;

	REQUIRE(steer_listen(server, "127.0.0.1:0",
			     VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE,
					   .flags = VOLLEY_LISTEN_REPORT_ERRORS,
					   .on_error = count_report)) == 0);
	to = listener_addr(server, 0);
	for (int i = 0; i < 64; i++) {
		int fd = loopback_open("127.0.0.1:0", NULL);

		loopback_send(fd, &to, 1, 1);
		close(fd);
	}
	REQUIRE(volley_server_start(server) == 0);
	steer_expect(server, "\1", 1, 1); /* behind them */
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK(stats.tx_reported > 0);
	CHECK(n_reports[0] + n_reports[2] + n_reports[3] > 0);
	CHECK_EQ(volley_server_free(server), 0);
}

/* Two others have joined the group; when ours are gone, the kernel chooses between them. */
static void the_program_ends_with_its_listener(void)
{
	struct volley_server *server = steer_start("127.0.0.1:0", 0,
						   VOLLEY_LISTEN(.steer = VOLLEY_STEER_BYTE));
	struct volley_addr addr = listener_addr(server, 0);
	int fds[2], n[2] = { 0 };
	int on = 1;

	for (int i = 0; i < 2; i++) {
		fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
		REQUIRE(setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
		REQUIRE(bind(fds[i], &addr.sa, addr.len) == 0);
	}
	CHECK_EQ(volley_listener_close(server, listener_at(server, 0)), 0);
	for (int i = 0; i < 64; i++) {
		int client = loopback_open("127.0.0.1:0", NULL);

		loopback_send(client, &addr, 1, 1);
		close(client);
	}
	for (int i = 0; i < 2; i++) {
		while (recv(fds[i], &on, sizeof on, MSG_DONTWAIT) >= 0)
			n[i]++;
		CHECK(n[i] > 0);
		close(fds[i]);
	}
	CHECK_EQ(n[0] + n[1], 64);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	if (!namespace_enter())
		return 77;
	flow_is_spread();
	steer_by_byte("127.0.0.1:0", 0);
	steer_by_byte("127.0.0.1:0", 9);
	steer_by_byte("[::1]:0", 3);
	both_families_are_steered();
	handlers_are_their_workers();
	cpus_are_places_in_the_mask();
	steer_by_program();
	bad_programs_are_refused();
	one_socket_gets_all();
	one_socket_has_no_program();
	the_port_stays_ours();
	each_address_has_its_own_way();
	what_is_sent_to_many_is_not_steered();
	reports_are_not_steered();
	the_program_ends_with_its_listener();
	return check_done();
}
